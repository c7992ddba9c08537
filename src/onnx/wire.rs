//! Fields of a protobuf message, read without knowing the message.
//!
//! A field is a varint `number << 3 | type` and a value: type 0 a varint, 1 eight bytes, 2 a varint length and so
//! many bytes, 5 four bytes. This reader exists because prost tells neither a file that ends too early from one
//! that is no protobuf, nor which fields it has dropped.

use std::fmt;

/// The value of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes.
    Fixed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WireError {
    /// A value reaches `missing` bytes over the end.
    Truncated { missing: u64 },
    /// Bytes that no protobuf writer makes.
    Invalid(&'static str),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { missing } => write!(f, "{missing} bytes are missing at the end"),
            Self::Invalid(what) => f.write_str(what),
        }
    }
}

/// Iterates over the fields of a message: number and value. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), WireError> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3)
            .ok()
            .filter(|n| (1..1 << 29).contains(n))
            .ok_or(WireError::Invalid("a field number is out of range"))?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.bytes(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.bytes(length)?)
            }
            5 => self.bytes(4).map(|_| Value::Fixed)?,
            _ => return Err(WireError::Invalid("a field has an unknown wire type")),
        };
        Ok((number, value))
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self
                .rest
                .split_first()
                .ok_or(WireError::Truncated { missing: 1 })?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::Invalid("a number has more than ten bytes"))
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8], WireError> {
        let here = self.rest.len() as u64;
        if length > here {
            return Err(WireError::Truncated {
                missing: length.saturating_sub(here),
            });
        }
        let (bytes, rest) = self.rest.split_at(length as usize);
        self.rest = rest;
        Ok(bytes)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_wire_type_are_read() {
        let message = [
            0x08, 0x96, 0x01, 0x12, 2, b'o', b'k', 0x1d, 0, 0, 0, 0, 0x21, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let fields: Vec<_> = Fields::new(&message).map(Result::unwrap).collect();
        assert_eq!(
            fields,
            [
                (1, Value::Varint(150)),
                (2, Value::Bytes(b"ok")),
                (3, Value::Fixed),
                (4, Value::Fixed)
            ]
        );
    }

    #[test]
    fn an_early_end_tells_how_much_is_missing() {
        let fields: Vec<_> = Fields::new(&[0x12, 9, 1, 2]).collect();
        assert_eq!(fields, [Err(WireError::Truncated { missing: 7 })]);
    }

    #[test]
    fn a_length_beyond_any_memory_is_an_early_end() {
        let message = [
            0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0,
        ];
        assert!(matches!(
            Fields::new(&message).next(),
            Some(Err(WireError::Truncated { .. }))
        ));
    }

    #[test]
    fn text_is_no_message() {
        assert!(Fields::new(b"not a model").any(|f| f.is_err()));
    }
}
