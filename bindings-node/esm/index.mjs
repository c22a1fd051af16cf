// One implementation for both module systems, so that a class is the same class in both.
export {
  Applied, applied, Conflict, createWritebackHandler, Job, LockedJob, receiptsDdl, Refused, sign, SignoffError, verify,
} from '../dist/index.js';
