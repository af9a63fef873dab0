//! Making the tables and views, and keeping them as they must be.

use google_cloud_bigquery_v2::client::{DatasetService, TableService};
use google_cloud_bigquery_v2::model::{
    Clustering, Dataset, DatasetReference, Table, TableFieldSchema, TableReference, TableSchema,
    TimePartitioning, ViewDefinition,
};
use google_cloud_gax::retry_policy::NeverRetry;

use super::connection::Connection;
use super::row::TableKind;
use super::schema::{Column, Found, PARTITIONED_BY, clustered_by, columns, missing_columns};
use super::settings::BigQuerySettings;
use super::transport::{Refusal, RefusalKind};
use super::views::BigQueryView;
use crate::sinks::google::redact;

/// What makes and changes tables.
#[derive(Debug)]
pub(crate) struct Tables {
    tables: TableService,
    datasets: DatasetService,
}

impl Tables {
    /// Makes the clients. Nothing is sent.
    pub(crate) fn open(connection: &Connection) -> Result<Self, Refusal> {
        let settings = &connection.settings;
        let attempted = "make the client of BigQuery's tables";
        let made = connection.run(attempted, settings.timeout, async {
            let mut tables = TableService::builder()
                .with_credentials(connection.credentials.clone())
                .with_retry_policy(NeverRetry);
            let mut datasets = DatasetService::builder()
                .with_credentials(connection.credentials.clone())
                .with_retry_policy(NeverRetry);
            if let Some(endpoint) = &settings.rest_endpoint {
                tables = tables.with_endpoint(endpoint);
                datasets = datasets.with_endpoint(endpoint);
            }
            Ok::<_, google_cloud_gax::client_builder::Error>(Self {
                tables: tables.build().await?,
                datasets: datasets.build().await?,
            })
        })?;
        made.map_err(|error| Refusal::new(RefusalKind::Unknown, attempted, redact(&error.to_string())))
    }

    fn get(&self, connection: &Connection, name: &str) -> Result<Option<Table>, Refusal> {
        let settings = &connection.settings;
        let request = self
            .tables
            .get_table()
            .set_project_id(&settings.project)
            .set_dataset_id(&settings.dataset)
            .set_table_id(name);
        let attempted = format!("look at table {}", settings.full_name(name));
        match connection.call(&attempted, request.send()) {
            Ok(table) => Ok(Some(table)),
            Err(refusal) if refusal.kind == RefusalKind::Gone => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Makes a table with all its columns, or adds the columns that it lacks.
    pub(crate) fn ensure(&self, connection: &Connection, table: TableKind) -> Result<(), Refusal> {
        let settings = &connection.settings;
        let name = settings.table_of(table);
        match self.get(connection, name)? {
            Some(found) => self.evolve(connection, table, found),
            None => self.insert(connection, new_table(settings, table), name),
        }
    }

    /// Refuses when a table no longer has all columns.
    pub(crate) fn check(&self, connection: &Connection, table: TableKind) -> Result<(), Refusal> {
        let settings = &connection.settings;
        let name = settings.table_of(table);
        let attempted = format!("append to {}", settings.full_name(name));
        let Some(found) = self.get(connection, name)? else {
            return Err(Refusal::new(RefusalKind::Gone, attempted, "the table is gone"));
        };
        match missing_columns(table, &found_columns(&found)) {
            Ok(missing) if missing.is_empty() => Ok(()),
            Ok(_) => Err(Refusal::new(RefusalKind::Unknown, attempted, "the table lost columns")),
            Err(reason) => Err(Refusal::new(RefusalKind::Blocked, attempted, reason)),
        }
    }

    fn evolve(&self, connection: &Connection, table: TableKind, found: Table) -> Result<(), Refusal> {
        let settings = &connection.settings;
        let name = settings.table_of(table);
        let full_name = settings.full_name(name);
        let attempted = format!("use table {full_name}");
        if !found.r#type.is_empty() && found.r#type != "TABLE" {
            let reason = format!("it is a {}; name another table", found.r#type.to_ascii_lowercase());
            return Err(Refusal::new(RefusalKind::Blocked, attempted, reason));
        }
        let missing = missing_columns(table, &found_columns(&found))
            .map_err(|reason| Refusal::new(RefusalKind::Blocked, attempted, reason))?;
        let partitioning = found.time_partitioning.clone();
        let expiry = settings.expiry_ms().filter(|wanted| {
            partitioning.as_ref().is_some_and(|partitioning| partitioning.expiration_ms != Some(*wanted))
        });
        if missing.is_empty() && expiry.is_none() {
            return Ok(());
        }
        let mut patch = Table::new();
        if !missing.is_empty() {
            let mut fields = found.schema.map(|schema| schema.fields).unwrap_or_default();
            // A column that is added to rows cannot be required.
            fields.extend(missing.iter().map(|column| field(column).set_mode("NULLABLE")));
            patch = patch.set_schema(TableSchema::new().set_fields(fields));
        }
        if let (Some(partitioning), Some(expiry)) = (partitioning, expiry) {
            patch = patch.set_time_partitioning(partitioning.set_expiration_ms(expiry));
        }
        let request = self
            .tables
            .patch_table()
            .set_project_id(&settings.project)
            .set_dataset_id(&settings.dataset)
            .set_table_id(name)
            .set_table(patch);
        connection.call(&format!("add columns to table {full_name}"), request.send()).map(drop)
    }

    fn insert(&self, connection: &Connection, table: Table, name: &str) -> Result<(), Refusal> {
        let settings = &connection.settings;
        let attempted = format!("make table {}", settings.full_name(name));
        let insert = |table| {
            let request = self
                .tables
                .insert_table()
                .set_project_id(&settings.project)
                .set_dataset_id(&settings.dataset)
                .set_table(table);
            match connection.call(&attempted, request.send()) {
                // Another process made it in the meantime.
                Err(refusal) if refusal.kind == RefusalKind::Taken => Ok(()),
                done => done.map(drop),
            }
        };
        match insert(table.clone()) {
            Err(refusal) if refusal.kind == RefusalKind::Gone && settings.create_dataset => {
                self.insert_dataset(connection)?;
                insert(table)
            }
            Err(refusal) if refusal.kind == RefusalKind::Gone => {
                let advice = format!("make dataset `{}`, or let the sink make it", settings.dataset);
                Err(Refusal::new(RefusalKind::Blocked, format!("{attempted}: {advice}"), refusal.source))
            }
            done => done,
        }
    }

    fn insert_dataset(&self, connection: &Connection) -> Result<(), Refusal> {
        let settings = &connection.settings;
        let reference =
            DatasetReference::new().set_project_id(&settings.project).set_dataset_id(&settings.dataset);
        let mut dataset = Dataset::new().set_dataset_reference(reference);
        if let Some(location) = &settings.location {
            dataset = dataset.set_location(location);
        }
        let request = self.datasets.insert_dataset().set_project_id(&settings.project).set_dataset(dataset);
        let attempted = format!("make dataset {}.{}", settings.project, settings.dataset);
        match connection.call(&attempted, request.send()) {
            Err(refusal) if refusal.kind == RefusalKind::Taken => Ok(()),
            done => done.map(drop),
        }
    }

    /// Makes the views that are not there, and replaces those that are different.
    pub(crate) fn ensure_views(&self, connection: &Connection) -> Result<(), Refusal> {
        connection.settings.views.iter().try_for_each(|view| self.ensure_view(connection, view))
    }

    fn ensure_view(&self, connection: &Connection, view: &BigQueryView) -> Result<(), Refusal> {
        let settings = &connection.settings;
        let name = view.name();
        let full_name = settings.full_name(name);
        let query = view.query(settings);
        match self.get(connection, name)? {
            None => {
                let definition = ViewDefinition::new().set_query(query).set_use_legacy_sql(false);
                let table = Table::new().set_table_reference(reference(settings, name)).set_view(definition);
                self.insert(connection, table, name)
            }
            Some(Table { view: Some(found), .. }) if found.query == query => Ok(()),
            Some(Table { view: Some(_), .. }) => {
                let sql = format!("CREATE OR REPLACE VIEW {} AS {query}", settings.quoted(name));
                connection.query(&format!("replace view {full_name}"), &sql, Vec::new()).map(drop)
            }
            Some(_) => {
                let reason = "a table has that name; rename it, or name the view otherwise";
                Err(Refusal::new(RefusalKind::Blocked, format!("make view {full_name}"), reason))
            }
        }
    }
}

fn reference(settings: &BigQuerySettings, name: &str) -> TableReference {
    TableReference::new()
        .set_project_id(&settings.project)
        .set_dataset_id(&settings.dataset)
        .set_table_id(name)
}

fn new_table(settings: &BigQuerySettings, table: TableKind) -> Table {
    let partitioning = TimePartitioning::new().set_type("DAY").set_field(PARTITIONED_BY);
    let partitioning = match settings.expiry_ms() {
        Some(expiry) => partitioning.set_expiration_ms(expiry),
        None => partitioning,
    };
    Table::new()
        .set_table_reference(reference(settings, settings.table_of(table)))
        .set_schema(TableSchema::new().set_fields(columns(table).iter().map(field)))
        .set_time_partitioning(partitioning)
        .set_clustering(Clustering::new().set_fields(clustered_by(table).iter().copied()))
}

fn field(column: &Column) -> TableFieldSchema {
    TableFieldSchema::new()
        .set_name(column.name)
        .set_type(column.column_type.as_str())
        .set_mode(if column.is_required { "REQUIRED" } else { "NULLABLE" })
        .set_description(column.description)
}

fn found_columns(table: &Table) -> Vec<Found> {
    let fields = table.schema.iter().flat_map(|schema| &schema.fields);
    fields
        .map(|field| Found {
            name: field.name.clone(),
            type_name: field.r#type.clone(),
            mode: field.mode.clone(),
        })
        .collect()
}
