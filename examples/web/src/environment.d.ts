/** Settings of the build. */
interface ImportMetaEnv {
  /** URL of the service. */
  readonly VITE_VESTIBULE_URL?: string;
}
