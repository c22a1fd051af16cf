// The same package, as a CommonJS module sees it.
import signoff = require('signoff');
import fastify = require('signoff/fastify');
import pg = require('signoff/pg');

const job: signoff.Job = signoff.verify(new Uint8Array(), {}, 'secret');
const error: typeof signoff.SignoffError = signoff.SignoffError;
const plugin: typeof fastify.writebacks = fastify.writebacks;
const make: typeof pg.pgDatabase = pg.pgDatabase;
const open: Promise<signoff.Signoff> = signoff.Signoff.open('signoff.json');
const contract: signoff.Contract = signoff.Contract.parse('{}');
void [open, contract];
// @ts-expect-error no such member
signoff.verifyy;
void [job, error, plugin, make];
