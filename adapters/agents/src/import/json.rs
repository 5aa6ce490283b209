//! Streaming JSON: an array, an object that wraps an array, or objects one after another.
//!
//! One record is in memory at a time. A line of JSON Lines that is broken costs only itself; inside an
//! array nothing can be read after a syntax error.

use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::reader::{Gauge, Metered, is_too_long};
use super::report::{Problem, Reason};

/// The fields of a wrapping object whose array is the records.
const WRAPPERS: [&str; 3] = ["data", "logs", "spend_logs"];

/// What to do with each value: a record and the line it ends on, or a problem. `false` ends the reading.
pub(super) type Sink<'s> = dyn FnMut(u64, Result<Value, Problem>) -> bool + 's;

/// Reads every record of a JSON file.
pub(super) fn read(mut file: Metered, sink: &mut Sink<'_>) -> std::io::Result<()> {
    if is_json_lines(file.beginning()?) { read_lines(file, sink) } else { read_values(file, sink) }
}

/// Whether the first line is a whole record by itself.
fn is_json_lines(beginning: &[u8]) -> bool {
    let first = beginning.split(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty());
    let Some(Ok(Value::Object(record))) = first.map(serde_json::from_slice::<Value>) else {
        return false;
    };
    !WRAPPERS.iter().any(|field| record.get(*field).is_some_and(Value::is_array))
}

fn read_lines(mut file: Metered, sink: &mut Sink<'_>) -> std::io::Result<()> {
    let gauge = file.gauge();
    loop {
        let at = gauge.line();
        let line = match file.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(()),
            Err(error) if is_too_long(&error) => {
                sink(at, Err(Problem::new(at, Reason::RecordTooLong, error.to_string())));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        gauge.record_done();
        if line.trim_ascii().is_empty() {
            continue;
        }
        let record = serde_json::from_slice(&line)
            .map_err(|error| Problem::new(at, Reason::Syntax, without_position(&error)));
        if !sink(at, record) {
            return Ok(());
        }
    }
}

/// The position counts within the record; the problem has the line of the file.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let cut = text.rfind(" at line ").unwrap_or(text.len());
    format!("{} (column {})", text.get(..cut).unwrap_or(&text), error.column())
}

fn read_values(mut file: Metered, sink: &mut Sink<'_>) -> std::io::Result<()> {
    let gauge = file.gauge();
    let mut stopped = false;
    while !stopped && file.skip_whitespace()? {
        let mut deserializer = serde_json::Deserializer::from_reader(&mut file);
        let top = Top { gauge: &gauge, sink: &mut *sink, stopped: &mut stopped };
        let Err(error) = top.deserialize(&mut deserializer) else { continue };
        if stopped {
            break;
        }
        let too_long = is_too_long(&error);
        if error.is_io() && !too_long {
            return Err(error.into());
        }
        let line = gauge.value_line();
        let reason = if too_long { Reason::RecordTooLong } else { Reason::Syntax };
        let message = format!("{}; nothing after it was read", without_position(&error));
        sink(line, Err(Problem::new(line, reason, message)));
        break;
    }
    Ok(())
}

struct Top<'t, 's> {
    gauge: &'t Gauge,
    sink: &'t mut Sink<'s>,
    stopped: &'t mut bool,
}

impl Top<'_, '_> {
    fn emit<E: Error>(&mut self, value: Value) -> Result<(), E> {
        self.gauge.record_done();
        if (self.sink)(self.gauge.value_line(), Ok(value)) {
            return Ok(());
        }
        *self.stopped = true;
        Err(E::custom("stopped"))
    }
}

impl<'de> DeserializeSeed<'de> for Top<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of usage records, or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut records: A) -> Result<(), A::Error> {
        while let Some(record) = records.next_element::<Value>()? {
            // An array of pages is as good as one page.
            if let Some(inner) = wrapped(&record) {
                for value in inner {
                    self.emit(value.clone())?;
                }
            } else {
                self.emit(record)?;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
        let mut record = Map::new();
        let mut streamed = false;
        while let Some(field) = fields.next_key::<String>()? {
            if WRAPPERS.contains(&field.as_str()) {
                let elements = Elements { top: &mut self, streamed: &mut streamed };
                let other = fields.next_value_seed(elements)?;
                record.insert(field, other);
            } else if streamed {
                fields.next_value::<IgnoredAny>()?;
            } else {
                record.insert(field, fields.next_value()?);
            }
        }
        if streamed { Ok(()) } else { self.emit(Value::Object(record)) }
    }
}

fn wrapped(record: &Value) -> Option<&Vec<Value>> {
    let object = record.as_object()?;
    WRAPPERS.iter().find_map(|field| object.get(*field)?.as_array())
}

/// The value of a wrapper field: an array is streamed, anything else is kept.
struct Elements<'e, 't, 's> {
    top: &'e mut Top<'t, 's>,
    streamed: &'e mut bool,
}

impl<'de> DeserializeSeed<'de> for Elements<'_, '_, '_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_, '_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of usage records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<Value, A::Error> {
        *self.streamed = true;
        while let Some(record) = records.next_element::<Value>()? {
            self.top.emit(record)?;
        }
        Ok(Value::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Value, A::Error> {
        serde::Deserialize::deserialize(serde::de::value::MapAccessDeserializer::new(fields))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}
