import { useEffect, useState } from "react";
import { MeDocument } from "vestibule";
import { Forgot } from "./pages/forgot";
import { Import } from "./pages/import";
import { Online } from "./pages/online";
import { Profile } from "./pages/profile";
import { Register } from "./pages/register";
import { Reset } from "./pages/reset";
import { SignIn } from "./pages/sign-in";
import { Users } from "./pages/users";
import { Verify } from "./pages/verify";
import { Proof } from "./proof";
import { Link, usePath } from "./route";
import { client, explain, useQuery, useSession } from "./vestibule";

/** The app. The page depends on the path and the session. */
export function App() {
  const session = useSession();
  const path = usePath();
  const [problem, setProblem] = useState<string | null>(null);
  const restore = (): void => {
    setProblem(null);
    client.restore().catch((error: unknown) => setProblem(explain(error)));
  };
  useEffect(restore, []);
  if (path === "/account/reset") return <Outside page={<Reset />} />;
  if (path === "/account/verify") return <Outside page={<Verify />} />;
  if (session.status === "signedIn") return <Inside key={session.userId} path={path} />;
  if (session.status === "signedOut") return <Outside page={outside(path)} />;
  return (
    <Outside
      page={
        problem === null ? (
          <p role="status">Loading …</p>
        ) : (
          <div role="alert">
            <p className="bad">{problem}</p>
            <button type="button" onClick={restore}>
              Try again
            </button>
          </div>
        )
      }
    />
  );
}

function outside(path: string) {
  if (path === "/forgot") return <Forgot />;
  if (path === "/register") return <Register />;
  return <SignIn />;
}

function Outside({ page }: { page: React.ReactNode }) {
  return <main className="narrow">{page}</main>;
}

/** The pages for signed-in users. */
function Inside({ path }: { path: string }) {
  const me = useQuery(MeDocument, {});
  const user = me.data?.me;
  const [problem, setProblem] = useState<string | null>(null);
  const signOut = (): void => {
    client.signOut().catch((error: unknown) => setProblem(`You are still signed in. ${explain(error)}`));
  };
  return (
    <>
      <header>
        <nav aria-label="Pages">
          <Link to="/">Profile</Link>
          {user?.isStaff && (
            <>
              <Link to="/users">Users</Link>
              <Link to="/import">Import</Link>
              <Link to="/online">Online</Link>
            </>
          )}
        </nav>
        <span className="who">{user?.name}</span>
        <button type="button" className="quiet" onClick={signOut}>
          Sign out
        </button>
      </header>
      <main>
        <div role="alert">{(problem ?? me.error) && <p className="bad">{problem ?? me.error}</p>}</div>
        {user && page(path, user, (next) => me.replace(() => ({ me: next })))}
      </main>
      <Proof />
    </>
  );
}

function page(path: string, user: Me, changed: (user: Me) => void) {
  if (user.isStaff && path === "/users") return <Users />;
  if (user.isStaff && path === "/import") return <Import />;
  if (user.isStaff && path === "/online") return <Online />;
  return <Profile user={user} onChange={changed} />;
}

type Me = React.ComponentProps<typeof Profile>["user"];
