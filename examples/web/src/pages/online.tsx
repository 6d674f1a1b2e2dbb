import { useEffect, useState } from "react";
import { WatchOnlineUsersDocument, type WatchOnlineUsersSubscription } from "vestibule";
import { Avatar } from "../avatar";
import { Heading } from "../heading";
import { client, explain } from "../vestibule";

/** The online users, updated live. */
export function Online() {
  const [users, setUsers] = useState<WatchOnlineUsersSubscription["onlineUsers"] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(
    () =>
      client.subscribe(WatchOnlineUsersDocument, {}, {
        next: ({ onlineUsers }) => setUsers(onlineUsers),
        error: (error) => setProblem(explain(error)),
      }),
    [],
  );
  return (
    <>
      <Heading>Online now</Heading>
      <div role="alert">{problem !== null && <p className="bad">{problem}</p>}</div>
      <p role="status">{users === null ? "Loading …" : `${users.length} online`}</p>
      <ul className="people">
        {users?.map(({ id, name, username, avatarUrl }) => (
          <li key={id} className="person">
            <Avatar name={name} url={avatarUrl} size={40} />
            <span>
              {name}
              <small>{username}</small>
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}
