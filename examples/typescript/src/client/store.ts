/**
 * Where a client that has no cookies keeps its refresh token: the keychain of a phone, a file, memory.
 * Pages in a browser need none: their cookie cannot be read by scripts, which is what makes it safe.
 */
export interface RefreshTokenStore {
  /** The token that was written last, or null. */
  read(): Promise<string | null> | string | null;
  /** Replaces the token; null removes it. */
  write(token: string | null): Promise<void> | void;
}

/** A store that lasts as long as the process. */
export function memoryStore(token: string | null = null): RefreshTokenStore {
  return {
    read: () => token,
    write(next) {
      token = next;
    },
  };
}
