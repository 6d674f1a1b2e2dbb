import { useEffect, useRef } from "react";

/** The heading that was on the page last. */
let last: HTMLElement | null = null;

/**
 * The heading of a page, and the title of the window. It takes the focus when it replaces another heading, so that
 * keyboards and screen readers continue there, but not when the app starts.
 */
export function Heading({ children }: { children: string }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${children} · Vestibule`;
  }, [children]);
  useEffect(() => {
    const element = heading.current;
    if (last !== null && last !== element) element?.focus();
    last = element;
  }, []);
  return (
    <h1 ref={heading} tabIndex={-1}>
      {children}
    </h1>
  );
}
