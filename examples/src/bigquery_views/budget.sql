-- The budget of each scope and month: what was spent by the engine's time, and the policy in force.
WITH
  policies AS (
    SELECT
      tenant_id,
      env,
      CAST(JSON_VALUE(input, '$.limit') AS BIGNUMERIC) AS policy_limit,
      JSON_VALUE(input, '$.currency') AS currency,
      CAST(JSON_VALUE(output, '$.version') AS INT64) AS policy_version
    FROM {events}
    WHERE surface = 'budget.set_policy' AND outcome = 'ok'
  ),
  newest AS (
    SELECT tenant_id, env, policy_limit, currency, policy_version
    FROM policies
    WHERE TRUE
    QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id, env ORDER BY policy_version DESC) = 1
  ),
  usage AS (
    SELECT DISTINCT
      event_id,
      tenant_id,
      env,
      FORMAT_TIMESTAMP('%Y-%m', TIMESTAMP_MICROS(IFNULL(
        CAST(JSON_VALUE(output, '$.recorded_at_us') AS INT64), UNIX_MICROS(started_at)))) AS month,
      CAST(JSON_VALUE(input, '$.amount') AS BIGNUMERIC) AS amount
    FROM {events}
    WHERE surface = 'budget.record_usage' AND outcome = 'ok'
  ),
  months AS (
    SELECT tenant_id, env, month, SUM(amount) AS spent, COUNT(*) AS entries
    FROM usage
    GROUP BY tenant_id, env, month
  )
SELECT
  months.tenant_id,
  months.env,
  months.month,
  months.spent,
  months.entries,
  newest.policy_limit,
  newest.currency,
  newest.policy_version,
  GREATEST(newest.policy_limit - months.spent, CAST('0' AS BIGNUMERIC)) AS remaining,
  months.spent > newest.policy_limit AS is_over_limit
FROM months
LEFT JOIN newest ON newest.tenant_id = months.tenant_id AND newest.env = months.env
