// One implementation for both module systems, so that a class is the same class in both.
export * from '../dist/pg.js';
