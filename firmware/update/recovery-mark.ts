/**
 * "Nobody at the machine may set a new password", kept where a damaged data partition cannot take it away: in the loader's
 * memory, of which the loader itself looks at other variables alone. Pure.
 */
import type { Environment } from "./environment.ts";

const RECOVERY_VARIABLE = "recovery";
const FORBIDDEN = "forbidden";

export const recoveryIsMarkedForbidden = (environment: Environment): boolean =>
	environment.get(RECOVERY_VARIABLE) === FORBIDDEN;

/** `environment` with the mark, or without it. */
export function withRecoveryMark(environment: Environment, forbidden: boolean): Environment {
	const variables = new Map(environment);
	if (forbidden) variables.set(RECOVERY_VARIABLE, FORBIDDEN);
	else variables.delete(RECOVERY_VARIABLE);
	return variables;
}

/** What /data says of it. */
export interface RecoveryFacts {
	/** As appliance.toml has it; null: it cannot be read, or is not there. */
	readonly allowed: boolean | null;
	readonly hasPassword: boolean;
}

/** Whether whoever is at the machine may set a new password: the settings say it, and the mark where they are lost. */
export const recoveryIsAllowed = ({ allowed }: RecoveryFacts, marked: boolean): boolean => allowed ?? !marked;

/**
 * Whether it is to be marked from now on. A box that never had a password is not: it has to be set up by somebody. So a
 * marked one without a password has lost it.
 */
export function nextRecoveryMark({ allowed, hasPassword }: RecoveryFacts, marked: boolean): boolean {
	if (allowed === null) return marked;
	return !allowed && (marked || hasPassword);
}

/** Whether nobody gets in any more: the password is lost, and nobody at the machine may set one. */
export const isLockedForGood = (facts: RecoveryFacts, marked: boolean): boolean =>
	marked && !facts.hasPassword && !recoveryIsAllowed(facts, marked);
