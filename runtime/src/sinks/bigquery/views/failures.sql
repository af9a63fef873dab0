-- Every event with an outcome other than ok, but for those that reading itself leaves.
SELECT DISTINCT
  tenant_id,
  env,
  recorded_at,
  event_id,
  surface,
  outcome,
  error_code AS code,
  IFNULL(error_retryable, FALSE) AS is_retryable,
  trace_id,
  user_id,
  duration_ns,
  ledger_id,
  seq
FROM {events}
WHERE outcome != 'ok' AND surface != 'ledger.read' AND NOT STARTS_WITH(surface, 'bossman.')
