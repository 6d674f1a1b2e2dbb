import { type ChangeEvent, useState } from "react";
import { ImportUsersDocument, type ImportUsersMutation } from "vestibule";
import { Button, Notices, useFirstError, useSending } from "../form";
import { Heading } from "../heading";
import { client } from "../vestibule";

type Report = NonNullable<ImportUsersMutation["importUsers"]>;

const NONE: Report["rowErrors"] = [];

/** Imports users from a spreadsheet, after a dry run. */
export function Import() {
  const [file, setFile] = useState<File | null>(null);
  const [sendWelcome, setSendWelcome] = useState(true);
  const [tried, setTried] = useState<Report | null>(null);
  const sending = useSending();
  const rowErrors = tried?.rowErrors ?? NONE;
  const place = useFirstError<HTMLDivElement>(sending.errors.length > 0 ? sending.errors : rowErrors);

  const choose = (event: ChangeEvent<HTMLInputElement>): void => {
    setFile(event.target.files?.[0] ?? null);
    setTried(null);
  };
  const run = (dryRun: boolean): void => {
    if (file === null) return;
    void sending.send(async () => {
      const { importUsers } = await client.request(ImportUsersDocument, { input: { file, dryRun, sendWelcome } });
      const errors = importUsers?.errors ?? [];
      const isDone = importUsers !== null && !dryRun && errors.length === 0 && importUsers.rowErrors.length === 0;
      setTried(isDone ? null : importUsers);
      return isDone ? { errors, note: `Done: ${summary(importUsers)}.` } : { errors };
    });
  };
  const fits = tried !== null && tried.errors.length === 0 && rowErrors.length === 0;

  return (
    <>
      <Heading>Import users</Heading>
      <p>An .xlsx or .csv file with a heading row. All rows are imported, or none.</p>
      <div className="field">
        <label htmlFor="file">File</label>
        <input id="file" type="file" accept=".xlsx,.csv" onChange={choose} />
      </div>
      <p>
        <label>
          <input type="checkbox" checked={sendWelcome} onChange={(event) => setSendWelcome(event.target.checked)} /> Send
          new users a welcome email
        </label>
      </p>
      <p className="buttons">
        <Button quiet busy={sending.busy} disabled={file === null} onClick={() => run(true)}>
          Check
        </Button>
        <Button busy={sending.busy} disabled={!fits} onClick={() => run(false)}>
          Import
        </Button>
      </p>
      <div ref={place}>
        <Notices sending={sending} />
        <div role="status">{fits && <p className="good">The import would have this result: {summary(tried)}.</p>}</div>
        {rowErrors.length > 0 && <Wrong rows={rowErrors} />}
      </div>
    </>
  );
}

function Wrong({ rows }: { rows: Report["rowErrors"] }) {
  return (
    <div className="scroll" role="region" aria-label="Errors" tabIndex={0} data-errors>
      <table>
        <caption>Fix these rows and try again</caption>
        <thead>
          <tr>
            <th scope="col">Row</th>
            <th scope="col">Column</th>
            <th scope="col">Problem</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ row, column, message }) => (
            <tr key={`${row} ${column} ${message}`}>
              <th scope="row">{row}</th>
              <td>{column}</td>
              <td>{message}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function summary({ created, updated, unchanged }: Report): string {
  return `${created ?? 0} created, ${updated ?? 0} updated, ${unchanged ?? 0} unchanged`;
}
