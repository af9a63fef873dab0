//! A collector on the loopback interface: enough of HTTP for what the sink sends.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;

use super::text;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) first_line: String,
    /// By their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) logs: ExportLogsServiceRequest,
}

/// What is answered: the head's first line and further headers, without their end.
type Script = Arc<Mutex<Vec<&'static str>>>;

/// A collector. Its thread ends with the process.
#[derive(Debug, Clone)]
pub(crate) struct LocalCollector {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    script: Script,
}

impl LocalCollector {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let collector = Self { address, got: Arc::default(), script: Arc::default() };
        let serving = collector.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || {
                    // A client that goes in mid-request is one that was told to.
                    let _ = serving.serve(stream);
                });
            }
        });
        collector
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next requests are answered with these heads, the last first.
    pub(crate) fn answer(&self, heads: &[&'static str]) {
        self.script.lock().expect("answers").extend(heads);
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().expect("requests").clone()
    }

    /// The records that were answered with success.
    pub(crate) fn records(&self) -> Vec<LogRecord> {
        let resources = self.got().into_iter().flat_map(|got| got.logs.resource_logs);
        resources.flat_map(|logs| logs.scope_logs).flat_map(|logs| logs.log_records).collect()
    }

    /// How often each event of a surface came, by its id.
    pub(crate) fn events_of(&self, surface: &str) -> BTreeMap<String, u64> {
        let mut times = BTreeMap::new();
        for record in self.records().iter().filter(|record| record.event_name == surface) {
            *times.entry(text(&record.attributes, "audit.record.id").expect("an id")).or_default() += 1;
        }
        times
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        loop {
            let mut first_line = String::new();
            if reader.read_line(&mut first_line)? == 0 {
                return Ok(());
            }
            let mut headers = BTreeMap::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line)?;
                let Some((name, value)) = line.trim_end().split_once(": ") else { break };
                headers.insert(name.to_lowercase(), value.to_owned());
            }
            let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            let scripted = self.script.lock().expect("answers").pop();
            if let Some(head) = scripted {
                write!(writer, "{head}\r\ncontent-length: 4\r\n\r\nbusy")?;
                continue;
            }
            let logs = ExportLogsServiceRequest::decode(&*body).expect("a request of OTLP");
            let first_line = first_line.trim_end().to_owned();
            self.got.lock().expect("requests").push(Got { first_line, headers, logs });
            write!(
                writer,
                "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"
            )?;
        }
    }
}
