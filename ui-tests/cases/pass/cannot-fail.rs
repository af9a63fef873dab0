use dataset_events::{RequestContext, dataset_event, surfaces};

#[dataset_event(surface = "version.number", access = "read", cannot_fail = "reads a constant")]
fn number(ctx: &RequestContext) -> u32 {
    7
}

struct Version;

#[dataset_event(engine = "version", access = "read")]
impl Version {
    pub fn name(&self, ctx: &RequestContext) -> Result<String, std::convert::Infallible> {
        Ok("seven".to_owned())
    }

    #[dataset_event(cannot_fail = "writes into a string")]
    pub fn long_name(&self, ctx: &RequestContext) -> Result<String, std::convert::Infallible> {
        Ok("seventh".to_owned())
    }
}

fn main() {
    let reason = |name: &str| surfaces().find(|site| site.surface == name).unwrap().cannot_fail;
    assert_eq!(reason("version.number"), Some("reads a constant"));
    assert_eq!(reason("version.name"), None);
    assert_eq!(reason("version.long_name"), Some("writes into a string"));
    let _ = (number, Version::name, Version::long_name);
}
