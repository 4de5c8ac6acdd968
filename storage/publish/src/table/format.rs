//! [`TableFormat`]: the columns of one kind with what computes their cells.

use serde_json::{Map, Value, json};
use trireme_schema::time::Moment;
use trireme_schema::view::View;

use super::column::{Column, Release, creation_description, name_column, recorded};
use super::custom::CustomColumns;
use super::include_object::IncludeObject;
use super::printers::{self, Printer};
use crate::partial::partial_object;

/// Whether a Table says what its columns are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// Column definitions are there.
    Full,
    /// `columnDefinitions` is null: in a watch, every event but the first.
    Omitted,
}

/// How a Table is written.
#[derive(Clone, Copy, Debug)]
pub struct TableOptions<'a> {
    /// What each row carries of its object.
    pub include: IncludeObject,
    /// `v1` or `v1beta1` of meta.k8s.io.
    pub version: &'a str,
    /// The moment to which ages are relative.
    pub now: Moment,
    /// With or without column definitions.
    pub header: Header,
}

/// The columns of one kind with what computes their cells. Build once per kind and version, use for every answer.
#[derive(Clone, Debug)]
pub struct TableFormat {
    columns: Vec<Column>,
    cells: Cells,
}

#[derive(Clone, Debug)]
enum Cells {
    Printer(Printer, Release),
    Custom(CustomColumns),
    /// Name and creation time.
    Plain,
}

impl TableFormat {
    /// The format of a kind of the built-in table (or of `Scale`, `Status`); kinds without a printer show name and
    /// creation time.
    pub fn built_in(group: &str, version: &str, kind: &str, release: Release) -> Self {
        let printer = printers::lookup(group, kind);
        match (recorded(group, version, kind, release), printer) {
            (Some(columns), Some(printer)) => {
                TableFormat { columns, cells: Cells::Printer(printer, release) }
            }
            _ => Self::plain(),
        }
    }

    /// The format of a version of a custom kind, from its `additionalPrinterColumns` (null or empty: the age).
    /// A column whose path does not parse stays empty; validation refuses such paths on the way in.
    pub fn custom(printer_columns: &Value) -> Self {
        let custom = CustomColumns::new(printer_columns);
        let mut columns = vec![name_column()];
        columns.extend(custom.columns().cloned());
        TableFormat { columns, cells: Cells::Custom(custom) }
    }

    /// Name and creation time.
    pub fn plain() -> Self {
        let created = Column {
            name: "Created At".to_owned(),
            kind: "date".to_owned(),
            format: String::new(),
            description: creation_description(),
            priority: 0,
        };
        TableFormat { columns: vec![name_column(), created], cells: Cells::Plain }
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The Table of a list. `list_metadata` is the list's own: resourceVersion, continue, remainingItemCount.
    pub fn list<'a>(
        &self,
        objects: impl IntoIterator<Item = &'a Value>,
        list_metadata: &Value,
        options: &TableOptions<'_>,
    ) -> Value {
        let mut metadata = Map::new();
        for name in ["resourceVersion", "continue", "remainingItemCount"] {
            if list_metadata.has(name) && list_metadata.at(name) != "" {
                metadata.insert(name.to_owned(), list_metadata.at(name).clone());
            }
        }
        let rows: Vec<Value> = objects.into_iter().map(|object| self.row(object, options)).collect();
        let definitions = match options.header {
            Header::Full => self.columns.iter().map(Column::definition).collect(),
            Header::Omitted => Value::Null,
        };
        json!({
            "kind": "Table",
            "apiVersion": format!("meta.k8s.io/{}", options.version),
            "metadata": metadata,
            "columnDefinitions": definitions,
            "rows": rows,
        })
    }

    /// The Table of one object, also of a watch event's object (a bookmark has only a resourceVersion).
    pub fn single(&self, object: &Value, options: &TableOptions<'_>) -> Value {
        let metadata = json!({ "resourceVersion": object.at("metadata").at("resourceVersion") });
        self.list([object], &metadata, options)
    }

    /// One row.
    pub fn row(&self, object: &Value, options: &TableOptions<'_>) -> Value {
        let mut row = Map::new();
        row.insert("cells".to_owned(), self.cells(object, options.now).into());
        if let (Cells::Printer(..), Some(conditions)) = (&self.cells, printers::row_conditions(object)) {
            row.insert("conditions".to_owned(), conditions);
        }
        let carried = match options.include {
            IncludeObject::None => Value::Null,
            IncludeObject::Metadata => partial_object(object, options.version),
            IncludeObject::Object => object.clone(),
        };
        row.insert("object".to_owned(), carried);
        Value::Object(row)
    }

    fn cells(&self, object: &Value, now: Moment) -> Vec<Value> {
        match &self.cells {
            Cells::Printer(print, release) => {
                let mut cells = print(object, &printers::Scene { now, release: *release });
                debug_assert_eq!(cells.len(), self.columns.len(), "{}", object.text("kind"));
                cells.truncate(self.columns.len());
                cells
            }
            Cells::Custom(custom) => {
                let mut cells = vec![object.at("metadata").text("name").into()];
                cells.extend(custom.cells(object, now));
                cells
            }
            Cells::Plain => {
                let metadata = object.at("metadata");
                vec![metadata.text("name").into(), metadata.at("creationTimestamp").clone()]
            }
        }
    }
}
