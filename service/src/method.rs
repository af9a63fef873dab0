//! Methods by name: a closed set, so that a client cannot make names of its own.

use http::Method;

/// Stands for a method that HTTP does not define: what a client sends is never recorded.
const OTHER: &str = "(other)";

/// The name of a method, as it is recorded.
pub(crate) fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "CONNECT" => "CONNECT",
        "TRACE" => "TRACE",
        _ => OTHER,
    }
}
