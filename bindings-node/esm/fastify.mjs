export { writebacks } from '../dist/fastify.js';
