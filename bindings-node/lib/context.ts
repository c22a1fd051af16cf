// Who asks and who decides, as the application vouches for it.

import { usage } from './bytes.js';
import type { Place } from './error.js';
import { flag, isPlain, text } from './exact.js';

/**
 * Who asks, as your application knows it from its own session; never from a model. It wins over the contract's provider. With
 * neither, calls are refused: `TRUSTED_BINDING_MISSING`.
 */
export interface Context {
  readonly tenant: string;
  readonly principal: string;
  readonly roles?: readonly string[];
}

/** Who decides, as your application's own authentication knows it. */
export interface Approver {
  readonly id: string;
  readonly roles?: readonly string[];
  /** True if the identity is only what somebody said, and nobody checked it. Default: false. */
  readonly asserted?: boolean;
}

/** The context as it crosses, or `USAGE`. */
export function contextOf(context: unknown, place: Place): { tenant: string; principal: string; roles: string[] } {
  const { tenant, principal, roles } = members(context, 'context', ['tenant', 'principal', 'roles'], place);
  return { tenant: text(tenant, 'context.tenant', place), principal: text(principal, 'context.principal', place), roles: rolesOf(roles, 'context', place) };
}

/** The context as it is now: what becomes of the object that it was given as changes nothing. */
export function frozenContext(context: unknown, place: Place): Context {
  const { tenant, principal, roles } = contextOf(context, place);
  return Object.freeze({ tenant, principal, roles: Object.freeze(roles) });
}

/** An approver as it crosses, or `USAGE`. */
export function approverOf(approver: unknown, place: Place): { id: string; roles: string[]; asserted: boolean } {
  const { id, roles, asserted = false } = members(approver, 'approver', ['id', 'roles', 'asserted'], place);
  return { id: text(id, 'approver.id', place), roles: rolesOf(roles, 'approver', place), asserted: flag(asserted, 'approver.asserted', place) };
}

function members(value: unknown, name: string, known: readonly string[], place: Place): Record<string, unknown> {
  if (!isPlain(value)) usage(`${name} is not an object`, `it has ${known.join(', ')}`, place);
  const unknown = Object.keys(value).find((member) => !known.includes(member));
  if (unknown !== undefined) usage(`there is no ${name}.${unknown}`, `it has ${known.join(', ')}`, place);
  return value;
}

function rolesOf(roles: unknown, name: string, place: Place): string[] {
  if (roles === undefined) return [];
  if (!Array.isArray(roles)) usage(`${name}.roles is not an array`, 'it is an array of strings', place);
  return Array.from(roles, (role) => text(role, `a role of the ${name}`, place));
}
