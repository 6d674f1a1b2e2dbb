import { type MouseEvent, type ReactNode, useSyncExternalStore } from "react";

const listeners = new Set<() => void>();

function subscribe(changed: () => void): () => void {
  listeners.add(changed);
  addEventListener("popstate", changed);
  return () => {
    listeners.delete(changed);
    removeEventListener("popstate", changed);
  };
}

/** The current path, updated on navigation. */
export function usePath(): string {
  return useSyncExternalStore(subscribe, () => location.pathname);
}

/** Navigates to another page of the app. */
export function go(path: string): void {
  history.pushState(null, "", path);
  for (const changed of [...listeners]) changed();
}

/** A link within the app. */
export function Link({ to, children }: { to: string; children: ReactNode }) {
  const path = usePath();
  const onClick = (event: MouseEvent): void => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    go(to);
  };
  return (
    <a href={to} onClick={onClick} aria-current={path === to ? "page" : undefined}>
      {children}
    </a>
  );
}
