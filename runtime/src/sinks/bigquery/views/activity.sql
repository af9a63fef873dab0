-- How many events, by hour, surface, access, outcome and code. Events that reading itself leaves are not counted.
SELECT
  tenant_id,
  env,
  TIMESTAMP_TRUNC(recorded_at, HOUR) AS hour,
  surface,
  access,
  outcome,
  error_code AS code,
  COUNT(DISTINCT event_id) AS events,
  COUNT(DISTINCT IF(outcome != 'ok', event_id, NULL)) AS failures
FROM {events}
WHERE surface != 'ledger.read' AND NOT STARTS_WITH(surface, 'bossman.')
GROUP BY tenant_id, env, hour, surface, access, outcome, code
