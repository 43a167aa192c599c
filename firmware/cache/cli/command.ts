/** What a management command is, and the shapes of its answers. */
import type { Manager } from "../manager/manager.ts";
import { fnmatch } from "../vcl/vmods/fnmatch.ts";
import { jsonReply, Status } from "./protocol.ts";

export interface Reply {
	readonly status: number;
	readonly body: string;
	/** The connection ends after this reply. */
	readonly close?: boolean;
}

export interface Command {
	readonly syntax: string;
	readonly about: string;
	readonly minimum: number;
	readonly maximum: number;
	readonly json?: boolean;
	/** Answered by the worker in varnishd: only while it runs. */
	readonly child?: boolean;
	readonly debug?: boolean;
	run(context: Context): Reply | Promise<Reply>;
}

export interface Context {
	readonly manager: Manager;
	/** Arguments without the command's name and without -j. */
	readonly words: readonly string[];
	readonly json: boolean;
	/** As typed, for the JSON envelope. */
	readonly typed: readonly string[];
}

export const ok = (body = ""): Reply => ({ status: Status.ok, body });
export const refuse = (status: number, body: string): Reply => ({ status, body });
export const json = (context: Context, version: number, ...payload: unknown[]): Reply =>
	ok(jsonReply(version, context.typed, Date.now() / 1000, payload));
export const message = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** What varnishd spreads a table over, and the blanks after its first column; there is one more after each of the others. */
const TABLE_COLUMNS = 83;
const LEAST_GAP = 1;
const MOST_GAP = 3;

/** Rows with their columns aligned, as varnishd sets them. A text is a line as it stands. */
export function table(rows: readonly (readonly string[] | string)[]): string {
	const widths: number[] = [];
	for (const row of rows)
		if (typeof row !== "string")
			row.forEach((cell, column) => {
				widths[column] = Math.max(widths[column] ?? 0, cell.length);
			});
	const share = Math.floor((TABLE_COLUMNS - widths.reduce((sum, width) => sum + width, 0)) / widths.length);
	const gap = Math.min(Math.max(share - 1, LEAST_GAP), MOST_GAP);
	const line = (row: readonly string[]) =>
		row
			.map((cell, column) =>
				column === row.length - 1 ? cell : cell.padEnd(widths[column]! + (column === 0 ? gap : gap + 1)),
			)
			.join("");
	return rows.map((row) => `${typeof row === "string" ? row : line(row)}\n`).join("");
}

/** A pattern of names, as fnmatch(3) has it without flags. */
export const globMatches = (pattern: string, text: string) =>
	fnmatch(pattern, text, { pathname: false, noescape: false, period: false });

/** More words than a line of the protocol holds; shown as -1. */
export const UNBOUNDED = 1000;

export type Commands = Readonly<Record<string, Command>>;
