/** Settings tables, and how a role's configuration is found, read, checked and described. @module */
export * from "./client_settings.ts";
export * from "./common_settings.ts";
export * from "./executor_settings.ts";
export * from "./faucet_settings.ts";
export * from "./gateway_settings.ts";
export * from "./load_config.ts";
export * from "./manual.ts";
export * from "./payment_settings.ts";
export * from "./resolve_config.ts";
export * from "./role_settings.ts";
export * from "./validator_settings.ts";
export type {
  AnyNode,
  Group,
  Groups,
  NamedGroups,
  Node,
  Setting,
  SettingOptions,
  Table,
  ValueType,
} from "./setting.ts";
