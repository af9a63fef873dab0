//! KPIs and temperature of a scope: set at the beginning of its day, read at its end.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::error::WorkloadError;
use super::session::Session;
use crate::job::client::Answer;

/// How much of what is asked is answered, in percent.
pub(super) const ANSWERED: &str = "answered_share";
/// How long answers take, in seconds.
const WAITING: &str = "waiting_time";

impl Session {
    /// Defines two KPIs with corridors, records first readings, and bounds the temperature.
    pub(super) async fn set_the_controls(&self) -> Result<(), WorkloadError> {
        let operator = self.operator();
        let temperature = json!({"floor": "5", "ceiling": "95", "guards": "vector"});
        if self.is("umbrella", "staging") {
            self.mistake_the_controls().await?;
        }
        for (name, unit, direction, low, high, guards) in [
            (ANSWERED, "percent", "higher_is_better", "80", "100", Some("media")),
            (WAITING, "s", "lower_is_better", "0", "10", None),
        ] {
            self.put(operator, &format!("/v1/kpis/{name}"), &json!({"unit": unit, "direction": direction}))
                .await?;
            let corridor = json!({"low": low, "high": high, "guards": guards, "weight": 1});
            self.put(operator, &format!("/v1/kpis/{name}/corridor"), &corridor).await?;
        }
        self.read_off(ANSWERED, "97.5").await?;
        self.read_off(WAITING, "2.25").await?;
        self.put(operator, "/v1/temperature/bounds", &temperature).await?;
        self.take_the_temperature().await?;
        Ok(())
    }

    /// Records a reading of now.
    pub(super) async fn read_off(&self, kpi: &str, value: &str) -> Result<Answer, WorkloadError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let reading = json!({"value": value, "at_us": u64::try_from(now).unwrap_or_default()});
        self.post(self.operator(), &format!("/v1/kpis/{kpi}/readings"), &reading).await
    }

    pub(super) async fn take_the_temperature(&self) -> Result<Answer, WorkloadError> {
        self.post(self.operator(), "/v1/temperature/snapshots", &json!(null)).await
    }

    /// Looks at all of them.
    pub(super) async fn read_the_controls(&self) -> Result<(), WorkloadError> {
        let operator = self.operator();
        self.take_the_temperature().await?;
        self.get(operator, "/v1/kpis").await?;
        self.get(operator, &format!("/v1/kpis/{ANSWERED}/latest")).await?;
        self.get(operator, "/v1/temperature/snapshots?limit=10").await?;
        self.get(operator, "/v1/temperature/breaches?window_s=86400").await?;
        self.get(operator, "/v1/strategy-locks?state=in_force").await?;
        Ok(())
    }

    /// An operator with slips: what is not defined, a corridor upside down, a snapshot of nothing.
    async fn mistake_the_controls(&self) -> Result<(), WorkloadError> {
        let operator = self.operator();
        // In a scope that has no readings yet; on a ledger that goes on, it has.
        self.take_the_temperature().await?;
        self.get(operator, "/v1/kpis/undefined/latest").await?;
        self.read_off("undefined", "1").await?;
        let upside_down = json!({"low": "10", "high": "1", "guards": null, "weight": 1});
        self.put(operator, "/v1/kpis/undefined/corridor", &upside_down).await?;
        let bounds = json!({"floor": "95", "ceiling": "5", "guards": "vector"});
        self.put(operator, "/v1/temperature/bounds", &bounds).await?;
        self.get(operator, "/v1/temperature/snapshots?limit=0").await?;
        self.get(operator, "/v1/temperature/breaches?window_s=0").await?;
        // Counted in hours once, in seconds from then on: refused, because there are readings.
        let count = json!({"unit": "h", "direction": "lower_is_better"});
        self.put(operator, "/v1/kpis/counted_twice", &count).await?;
        self.read_off("counted_twice", "1").await?;
        let count = json!({"unit": "s", "direction": "lower_is_better"});
        self.put(operator, "/v1/kpis/counted_twice", &count).await?;
        Ok(())
    }
}
