-- What each scope spent in a month, by kind and by who was paid.
WITH
  usage AS (
    SELECT DISTINCT
      event_id,
      tenant_id,
      env,
      FORMAT_TIMESTAMP('%Y-%m', TIMESTAMP_MICROS(IFNULL(
        CAST(JSON_VALUE(output, '$.recorded_at_us') AS INT64), UNIX_MICROS(started_at)))) AS month,
      JSON_VALUE(input, '$.kind') AS kind,
      JSON_VALUE(input, '$.origin.provider') AS provider,
      JSON_VALUE(input, '$.origin.model') AS model,
      JSON_VALUE(input, '$.origin.tool') AS tool,
      CAST(JSON_VALUE(input, '$.amount') AS BIGNUMERIC) AS amount
    FROM {events}
    WHERE surface = 'budget.record_usage' AND outcome = 'ok'
  )
SELECT tenant_id, env, month, kind, provider, model, tool, SUM(amount) AS total, COUNT(*) AS entries
FROM usage
GROUP BY tenant_id, env, month, kind, provider, model, tool
