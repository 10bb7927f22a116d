/** What a role must tell so that its configuration can be loaded. @module */
import type { CommonConfig, RoleName } from "./common_settings.ts";
import type { Table } from "./setting.ts";

/** One role's settings, and the rules that hold between them. */
export interface RoleSettings<T extends CommonConfig> {
  /** Which role. */
  readonly role: RoleName;
  /** Every setting. */
  readonly table: Table<T>;
  /** Fills in what follows from other settings. */
  readonly complete?: (config: T) => T;
  /**
   * Rules between keys, each value being valid on its own.
   * @param refuse throws `config_invalid` for a key
   * @param warn tells the user of something that is allowed but unwise
   */
  readonly check: (
    config: T,
    refuse: (key: string, problem: string) => never,
    warn: (key: string, problem: string) => void,
  ) => void;
}
