import { type ChangeEvent, useState } from "react";
import { ImportUsersDocument, type ImportUsersMutation } from "vestibule";
import { Notices, useSending } from "../form";
import { client } from "../vestibule";

type Report = NonNullable<ImportUsersMutation["importUsers"]>;

/** Imports users from a spreadsheet, after a dry run. */
export function Import() {
  const [file, setFile] = useState<File | null>(null);
  const [sendWelcome, setSendWelcome] = useState(true);
  const [tried, setTried] = useState<Report | null>(null);
  const sending = useSending();

  const choose = (event: ChangeEvent<HTMLInputElement>): void => {
    setFile(event.target.files?.[0] ?? null);
    setTried(null);
  };
  const run = (dryRun: boolean): void => {
    if (file === null) return;
    void sending.send(async () => {
      const { importUsers } = await client.request(ImportUsersDocument, { input: { file, dryRun, sendWelcome } });
      setTried(dryRun ? importUsers : null);
      const errors = importUsers?.errors ?? [];
      return importUsers && !dryRun && importUsers.rowErrors.length === 0
        ? { errors, note: `Done: ${summary(importUsers)}.` }
        : { errors };
    });
  };
  const fits = tried !== null && tried.errors.length === 0 && tried.rowErrors.length === 0;

  return (
    <>
      <h1>Import users</h1>
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
        <button type="button" className="quiet" disabled={file === null || sending.busy} onClick={() => run(true)}>
          Check
        </button>
        <button type="button" disabled={!fits || sending.busy} onClick={() => run(false)}>
          Import
        </button>
      </p>
      <Notices sending={sending} />
      <div role="status">{fits && <p className="good">The import would have this result: {summary(tried)}.</p>}</div>
      {tried !== null && tried.rowErrors.length > 0 && <Wrong rows={tried.rowErrors} />}
    </>
  );
}

function Wrong({ rows }: { rows: Report["rowErrors"] }) {
  return (
    <div className="scroll" role="region" aria-label="Errors" tabIndex={0}>
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
