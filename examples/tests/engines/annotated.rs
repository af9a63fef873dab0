//! Every function of the engines that takes a request context is annotated: read from their sources.
//!
//! The registry lists what is annotated; what is not, it cannot know. So this looks at the sources themselves.

use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;
use syn::visit_mut::VisitMut;
use syn::{
    Attribute, Block, Expr, ExprMethodCall, FnArg, ImplItem, Item, ItemImpl, PathSegment, Signature, Stmt,
    Visibility,
};

const ATTRIBUTE: &str = "dataset_event";
/// Functions that take a context and are no operation, and why.
const UNRECORDED: [(&str, &str); 1] =
    [("Media::path", "says where a file lies, for tests and operators; touches neither file nor database")];

/// One source file.
struct Source {
    path: PathBuf,
    file: syn::File,
}

/// Reads the sources below a directory.
fn sources(directory: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(directory).expect("the engines' sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources.extend(self::sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            sources.push(Source { path, file });
        }
    }
    sources
}

fn engines() -> Vec<Source> {
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engines"))
}

fn is_annotated(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| attr.path().segments.last().is_some_and(|segment| segment.ident == ATTRIBUTE))
}

/// Whether a parameter is a request context, however it is written.
fn takes_a_context(signature: &Signature) -> bool {
    struct Finder(bool);
    impl Visit<'_> for Finder {
        fn visit_path_segment(&mut self, segment: &PathSegment) {
            self.0 |= segment.ident == "RequestContext";
            syn::visit::visit_path_segment(self, segment);
        }
    }
    let mut finder = Finder(false);
    for input in &signature.inputs {
        if let FnArg::Typed(parameter) = input {
            finder.visit_type(&parameter.ty);
        }
    }
    finder.0
}

/// What other modules can call. `pub(super)` is inside of an engine.
fn is_open(visibility: &Visibility) -> bool {
    match visibility {
        Visibility::Public(_) => true,
        Visibility::Restricted(restricted) => restricted.path.is_ident("crate"),
        Visibility::Inherited => false,
    }
}

/// The method that does all of the work: the body is nothing but `self.method(ctx, ..)`, or it ends with that method
/// in a task.
fn handed_to(body: &Block) -> Option<String> {
    handed_over(body).or_else(|| run_to_its_end(body))
}

/// The method of `to_its_end(ctx, .., |ctx| async move { engine.method(&ctx, ..).await })` at the end of a body.
fn run_to_its_end(body: &Block) -> Option<String> {
    struct Finder(Vec<String>);
    impl Visit<'_> for Finder {
        fn visit_expr_method_call(&mut self, call: &ExprMethodCall) {
            if matches!(&*call.receiver, Expr::Path(path) if path.path.is_ident("engine")) {
                self.0.push(call.method.to_string());
            }
            syn::visit::visit_expr_method_call(self, call);
        }
    }
    let Some(Stmt::Expr(Expr::Await(end), None)) = body.stmts.last() else { return None };
    let Expr::Call(call) = &*end.base else { return None };
    let is_it = matches!(&*call.func, Expr::Path(path) if path.path.is_ident("to_its_end"));
    let has_context = matches!(call.args.first(), Some(Expr::Path(path)) if path.path.is_ident("ctx"));
    let mut finder = Finder(Vec::new());
    finder.visit_expr_call(call);
    let [method] = finder.0.as_slice() else { return None };
    (is_it && has_context).then(|| method.clone())
}

fn handed_over(body: &Block) -> Option<String> {
    let [Stmt::Expr(expression, None)] = body.stmts.as_slice() else { return None };
    let mut expression = expression;
    loop {
        match expression {
            Expr::Await(inner) => expression = &inner.base,
            Expr::Try(inner) => expression = &inner.expr,
            Expr::MethodCall(call) => {
                let is_own = matches!(&*call.receiver, Expr::Path(path) if path.path.is_ident("self"));
                let has_context =
                    matches!(call.args.first(), Some(Expr::Path(path)) if path.path.is_ident("ctx"));
                return (is_own && has_context).then(|| call.method.to_string());
            }
            _ => return None,
        }
    }
}

/// The functions of a file that should be annotated and are not, as `Type::function`.
fn unannotated(file: &syn::File) -> Vec<String> {
    let mut found = Vec::new();
    for item in &file.items {
        match item {
            Item::Fn(function)
                if is_open(&function.vis)
                    && takes_a_context(&function.sig)
                    && !is_annotated(&function.attrs) =>
            {
                found.push(function.sig.ident.to_string());
            }
            Item::Impl(block) if block.trait_.is_none() && !is_annotated(&block.attrs) => {
                found.extend(unannotated_methods(block));
            }
            _ => {}
        }
    }
    found
}

fn unannotated_methods(block: &ItemImpl) -> Vec<String> {
    let mut found = Vec::new();
    let methods =
        || block.items.iter().filter_map(|item| if let ImplItem::Fn(it) = item { Some(it) } else { None });
    for method in methods().filter(|method| is_open(&method.vis) && takes_a_context(&method.sig)) {
        // The attribute stands where the work is done.
        let worker = handed_to(&method.block);
        let worker =
            worker.and_then(|name| methods().find(|method| method.sig.ident == name)).unwrap_or(method);
        let name = format!("{}::{}", type_name(block), method.sig.ident);
        let is_recorded = is_annotated(&method.attrs) || is_annotated(&worker.attrs);
        if !is_recorded && UNRECORDED.iter().all(|(function, _)| *function != name) {
            found.push(name);
        }
    }
    found
}

fn type_name(block: &ItemImpl) -> String {
    match &*block.self_ty {
        syn::Type::Path(path) => path.path.segments.last().map(|it| it.ident.to_string()).unwrap_or_default(),
        _ => String::new(),
    }
}

/// The function that misses its record when one loses its attribute: the one itself, or what hands over to it.
fn missed_without(file: &syn::File, removed: &str) -> Vec<String> {
    let blocks =
        file.items.iter().filter_map(|item| if let Item::Impl(block) = item { Some(block) } else { None });
    let methods = blocks.flat_map(|block| {
        block.items.iter().filter_map(move |item| match item {
            ImplItem::Fn(method) => Some((type_name(block), method)),
            _ => None,
        })
    });
    let hands_over = methods.filter(|(of, method)| {
        is_open(&method.vis) && handed_to(&method.block).is_some_and(|to| format!("{of}::{to}") == removed)
    });
    let named: Vec<String> = hands_over.map(|(of, method)| format!("{of}::{}", method.sig.ident)).collect();
    if named.is_empty() { vec![removed.to_owned()] } else { named }
}

/// Counts the annotated functions of a file, and takes the attribute off the one of a number.
struct Remover {
    number: Option<usize>,
    next: usize,
    removed: Option<String>,
    of: String,
}

impl Remover {
    fn new(number: Option<usize>) -> Self {
        Self { number, next: 0, removed: None, of: String::new() }
    }

    fn look(&mut self, attrs: &mut Vec<Attribute>, signature: &Signature) {
        if !is_annotated(attrs) {
            return;
        }
        if self.number == Some(self.next) {
            attrs.retain(|attr| !is_annotated(std::slice::from_ref(attr)));
            let name = &signature.ident;
            self.removed =
                Some(if self.of.is_empty() { name.to_string() } else { format!("{}::{name}", self.of) });
        }
        self.next += 1;
    }
}

impl VisitMut for Remover {
    fn visit_item_fn_mut(&mut self, function: &mut syn::ItemFn) {
        self.look(&mut function.attrs, &function.sig);
    }

    fn visit_item_impl_mut(&mut self, block: &mut ItemImpl) {
        self.of = type_name(block);
        for item in &mut block.items {
            if let ImplItem::Fn(method) = item {
                self.look(&mut method.attrs, &method.sig);
            }
        }
        self.of.clear();
    }
}

fn count(file: &syn::File) -> usize {
    let mut counter = Remover::new(None);
    counter.visit_file_mut(&mut file.clone());
    counter.next
}

#[test]
fn every_function_that_takes_a_context_is_annotated() {
    for source in engines() {
        assert_eq!(unannotated(&source.file), Vec::<String>::new(), "in {}", source.path.display());
    }
}

#[test]
fn the_sources_have_as_many_annotated_functions_as_the_registry() {
    let in_sources: usize = engines().iter().map(|source| count(&source.file)).sum();
    let linked = dataset_events::surfaces().filter(|site| site.crate_name() == "dataset_events_examples");
    assert_eq!(in_sources, linked.count());
}

#[test]
fn removing_the_attribute_from_any_function_is_reported_as_that_function() {
    let mut removed = 0;
    for source in engines() {
        for number in 0..count(&source.file) {
            let mut copy = source.file.clone();
            let mut remover = Remover::new(Some(number));
            remover.visit_file_mut(&mut copy);
            let function = remover.removed.expect("a function without its attribute");
            let missed = missed_without(&source.file, &function);
            assert_eq!(missed.len(), 1, "{function} is called by {missed:?}");
            assert_eq!(unannotated(&copy), missed, "in {}", source.path.display());
            removed += 1;
        }
    }
    assert!(removed > 40, "{removed} attributes");
}

#[test]
fn a_method_of_an_annotated_block_or_with_a_reason_needs_no_attribute_of_its_own() {
    let of = |text: &str| unannotated(&syn::parse_str(text).expect("a source file"));
    let method = "pub async fn f(&self, ctx: &'a dataset_events::RequestContext) -> u8 { self.g() }";
    assert_eq!(of(&format!("impl Engine {{ {method} }}")), ["Engine::f"]);
    assert_eq!(of("pub fn free(ctx: RequestContext) {}"), ["free"]);
    assert!(of(&format!("#[dataset_event(prefix = \"engine\")] impl Engine {{ {method} }}")).is_empty());
    assert!(of(&format!("impl Engine {{ #[dataset_event(skip = \"reads nothing\")] {method} }}")).is_empty());
    let worker = "async fn work(&self, ctx: &RequestContext) {}";
    let task = "pub async fn f(&self, ctx: &RequestContext) {
        let engine = self.clone();
        to_its_end(ctx, \"work\", |ctx| async move { engine.work(&ctx).await }).await
    }";
    assert_eq!(of(&format!("impl Engine {{ {worker} {task} }}")), ["Engine::f"]);
    assert!(of(&format!("impl Engine {{ #[dataset_event(surface = \"e.f\")] {worker} {task} }}")).is_empty());
    assert!(of("impl Engine { fn private(&self, ctx: &RequestContext) {} }").is_empty());
    assert!(of("impl Engine { pub fn no_context(&self, count: u8) {} }").is_empty());
}
