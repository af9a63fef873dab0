-- Every snapshot of a scope's temperature. The engine's order is that of its positions.
SELECT DISTINCT
  tenant_id,
  env,
  CAST(JSON_VALUE(output, '$.position') AS INT64) AS position,
  CAST(JSON_VALUE(output, '$.degrees') AS BIGNUMERIC) AS degrees,
  CAST(JSON_VALUE(output, '$.kpis') AS INT64) AS kpis,
  JSON_VALUE(output, '$.breach') AS breach,
  CAST(JSON_VALUE(output, '$.floor') AS BIGNUMERIC) AS floor,
  CAST(JSON_VALUE(output, '$.ceiling') AS BIGNUMERIC) AS ceiling,
  TIMESTAMP_MICROS(IFNULL(
    CAST(JSON_VALUE(output, '$.taken_at_us') AS INT64), UNIX_MICROS(started_at))) AS taken_at,
  user_id AS taken_by,
  event_id
FROM {events}
WHERE surface = 'temperature.snapshot' AND outcome = 'ok'
