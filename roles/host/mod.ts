/** What a role needs of its machine: settings, command line, disk, log, signals. @module */
export * from "./blockchain.ts";
export * from "./clock.ts";
export * from "./command_line.ts";
export * from "./config/mod.ts";
export * from "./data_directory.ts";
export * from "./exit_codes.ts";
export * from "./generate_identity.ts";
export * from "./identity_file.ts";
export * from "./lifecycle.ts";
export * from "./line_reader.ts";
export * from "./ready.ts";
export * from "./logging.ts";
export * from "./input.ts";
export { OutputFile, type OutputMode } from "./output_file.ts";
export { RowFile } from "./row_file.ts";
export * from "./table.ts";
export * from "./terminal.ts";
export { redact } from "./redact.ts";
