--- What the service takes: facts, not settings.
-- @module catalog.base.limits
return {
  --- The largest file of one request, and the largest part of a file, in bytes. Source: Adobe's batch ingestion guide,
  -- in decimal bytes.
  LARGEST_PUT = 256000000, LARGEST_PART = 512000000,
  --- Files and bytes of a batch: what is advised, and what is enforced. Source: Adobe's guardrails for ingestion. The
  -- terabyte is that of the service's own message, 2^40; which gigabyte is meant by what is advised is not said.
  ADVISED_FILES = 10000, ADVISED_BYTES = 100000000000, MAX_FILES = 25000, MAX_BYTES = 1 << 40,
}
