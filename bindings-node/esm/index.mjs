// One implementation for both module systems, so that a class is the same class in both.
export {
  Applied, applied, audit, Conflict, Contract, createWritebackHandler, Job, Listing, LockedJob, receiptsDdl, Refused, sign, Signoff, SignoffError,
  verify,
} from '../dist/index.js';
