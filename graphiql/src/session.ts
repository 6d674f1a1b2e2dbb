/** The session of the page: that of the TypeScript client, and its user. */

import { useEffect, useState, useSyncExternalStore } from "react";
import { MeDocument, type MeQuery, type VestibuleClient } from "vestibule";

/** The signed-in user as shown on the page. */
export type User = NonNullable<MeQuery["me"]>;

/** Returns `true` if somebody is signed in, and the user once the service has returned it. */
export function useSession(client: VestibuleClient): { isSignedIn: boolean; user: User | null } {
  const [subscribe] = useState(() => (changed: () => void) => client.onSessionChange(changed));
  const session = useSyncExternalStore(subscribe, () => client.session);
  const id = session.status === "signedIn" ? session.userId : null;
  const [user, setUser] = useState<User | null>(null);
  useEffect(() => {
    if (id === null) return undefined;
    const control = new AbortController();
    client.request(MeDocument, {}, { signal: control.signal }).then(
      ({ me }) => setUser(me),
      // The name is missing then, and everything else works.
      () => undefined,
    );
    return () => control.abort();
  }, [client, id]);
  return { isSignedIn: id !== null, user: user?.id === id ? user : null };
}
