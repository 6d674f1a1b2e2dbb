/**
 * Store for the refresh token of a client without cookies: the keychain of a phone, a file, or memory.
 * Pages in a browser do not need one. Their cookie is safer, because scripts cannot read it.
 */
export interface RefreshTokenStore {
  /** Returns the token that was written last, or null. */
  read(): Promise<string | null> | string | null;
  /** Replaces the token; null removes it. */
  write(token: string | null): Promise<void> | void;
}

/** A store in memory. */
export function memoryStore(token: string | null = null): RefreshTokenStore {
  return {
    read: () => token,
    write(next) {
      token = next;
    },
  };
}
