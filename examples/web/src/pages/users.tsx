import { useEffect, useState } from "react";
import {
  ToggleActiveDocument,
  ToggleStaffDocument,
  type UserErrorCode,
  type UserOrderField,
  type UsersQuery,
  UsersDocument,
} from "vestibule";
import { Avatar } from "../avatar";
import { Button, Notices, type Sending, useSending } from "../form";
import { Heading } from "../heading";
import { client, useQuery } from "../vestibule";

type User = NonNullable<UsersQuery["users"]>["nodes"][number];
type Place = { after: string } | { before: string } | null;

const PAGE = 10;
const COLUMNS: readonly { field: UserOrderField; label: string }[] = [
  { field: "USERNAME", label: "Name" },
  { field: "EMAIL", label: "Email address" },
  { field: "DATE_JOINED", label: "Joined" },
];

/** All users: search, order, pages, and two switches for each user. */
export function Users() {
  const [typed, setTyped] = useState("");
  const [search, setSearch] = useState("");
  const [order, setOrder] = useState<{ field: UserOrderField; direction: "ASC" | "DESC" }>({
    field: "DATE_JOINED",
    direction: "DESC",
  });
  const [place, setPlace] = useState<Place>(null);
  const sending = useSending();

  useEffect(() => {
    const wanted = typed.trim();
    if (wanted === search) return;
    const timer = setTimeout(() => {
      setSearch(wanted);
      setPlace(null);
    }, 250);
    return () => clearTimeout(timer);
  }, [typed, search]);

  const backwards = place !== null && "before" in place;
  const { data, error, loading, replace } = useQuery(UsersDocument, {
    first: backwards ? null : PAGE,
    last: backwards ? PAGE : null,
    after: place !== null && "after" in place ? place.after : null,
    before: backwards ? place.before : null,
    search: search === "" ? null : search,
    orderBy: [order],
  });
  const users = data?.users;
  const sortBy = (field: UserOrderField): void => {
    setOrder({ field, direction: order.field === field && order.direction === "ASC" ? "DESC" : "ASC" });
    setPlace(null);
  };
  const changed = (user: User): void =>
    replace((now) =>
      now.users ? { users: { ...now.users, nodes: now.users.nodes.map((old) => (old.id === user.id ? user : old)) } } : now,
    );

  return (
    <>
      <Heading>Users</Heading>
      <search>
        <label htmlFor="search">Search</label>
        <input id="search" type="search" value={typed} onChange={(event) => setTyped(event.target.value)} />
      </search>
      <p role="status">{users ? found(users.totalCount) : "Loading …"}</p>
      <div role="alert">{error !== null && <p className="bad">{error}</p>}</div>
      <Notices sending={sending} />
      <div className="scroll" role="region" aria-label="The list" tabIndex={0}>
        <table aria-busy={loading}>
          <thead>
            <tr>
              {COLUMNS.map(({ field, label }) => (
                <th key={field} scope="col" className={field === "USERNAME" ? "" : "extra"} aria-sort={order.field === field ? sorted[order.direction] : "none"}>
                  <button type="button" onClick={() => sortBy(field)}>
                    {label}
                  </button>
                </th>
              ))}
              <th scope="col" className="extra">
                Role
              </th>
              <th scope="col">Staff</th>
              <th scope="col">Active</th>
            </tr>
          </thead>
          <tbody>
            {users?.nodes.map((user) => (
              <Row key={user.id} user={user} sending={sending} onChange={changed} />
            ))}
          </tbody>
        </table>
      </div>
      {users && (
        <nav aria-label="Pages of the list" className="pages">
          <Button
            quiet
            busy={loading || !users.pageInfo.hasPreviousPage}
            onClick={() => setPlace({ before: users.pageInfo.startCursor ?? "" })}
          >
            Previous page
          </Button>
          <Button
            quiet
            busy={loading || !users.pageInfo.hasNextPage}
            onClick={() => setPlace({ after: users.pageInfo.endCursor ?? "" })}
          >
            Next page
          </Button>
        </nav>
      )}
    </>
  );
}

function Row({ user, sending, onChange }: { user: User; sending: Sending; onChange: (user: User) => void }) {
  const toggleStaff = (isStaff: boolean): void => {
    void sending.send(async () => {
      const { toggleStaff } = await client.request(ToggleStaffDocument, { input: { id: user.id, isStaff } });
      if (toggleStaff?.user) onChange(toggleStaff.user);
      return { errors: toggleStaff?.errors ?? [], note: `${user.name} is ${isStaff ? "now staff" : "no longer staff"}.` };
    });
  };
  const toggleActive = (isActive: boolean): void => {
    void sending.send(async () => {
      const { toggleActive } = await client.request(ToggleActiveDocument, { input: { id: user.id, isActive } });
      if (toggleActive?.user) onChange(toggleActive.user);
      return { errors: toggleActive?.errors ?? [], note: `${user.name} is ${isActive ? "now active" : "no longer active"}.` };
    });
  };
  return (
    <tr>
      <th scope="row">
        <div className="person">
          <Avatar name={user.name} url={user.avatarUrl} size={28} />
          <span>
            {user.name}
            <small>{user.username}</small>
          </span>
        </div>
      </th>
      <td className="extra">{user.email}</td>
      <td className="extra">
        <time dateTime={user.dateJoined}>{new Date(user.dateJoined).toLocaleDateString()}</time>
      </td>
      <td className="extra">{user.role.toLowerCase()}</td>
      <td>
        <Switch label={`Staff: ${user.name}`} on={user.isStaff} may={user.viewerCan.toggleStaff} onFlip={toggleStaff} />
      </td>
      <td>
        <Switch label={`Active: ${user.name}`} on={user.isActive} may={user.viewerCan.toggleActive} onFlip={toggleActive} />
      </td>
    </tr>
  );
}

/** A switch, disabled with the reason if the service would refuse it. */
function Switch(props: {
  label: string;
  on: boolean;
  may: { allowed: boolean; reason: UserErrorCode | null };
  onFlip: (on: boolean) => void;
}) {
  const { label, on, may, onFlip } = props;
  const why = may.allowed ? undefined : because(may.reason);
  return (
    <span title={why}>
      <input
        type="checkbox"
        role="switch"
        aria-label={why === undefined ? label : `${label} (${why})`}
        checked={on}
        disabled={!may.allowed}
        onChange={(event) => onFlip(event.target.checked)}
      />
    </span>
  );
}

function because(reason: UserErrorCode | null): string {
  switch (reason) {
    case "CANNOT_DEMOTE_SELF":
      return "You cannot revoke your own staff rights.";
    case "CANNOT_DEACTIVATE_SELF":
      return "You cannot deactivate your own account.";
    case "CANNOT_EDIT_SUPERUSER":
      return "Only superusers can change a superuser.";
    case "LAST_SUPERUSER":
      return "This is the last superuser.";
    default:
      return "You do not have permission to change this.";
  }
}

const sorted = { ASC: "ascending", DESC: "descending" } as const;

function found(count: number): string {
  return count === 1 ? "1 user" : `${count} users`;
}
