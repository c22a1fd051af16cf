export { pgDatabase } from '../dist/pg.js';
