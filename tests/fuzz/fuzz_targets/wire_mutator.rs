//! Changes a protobuf message field by field, so that every length in it stays right: of bytes changed at random hardly
//! one in a thousand is a model any more.
//!
//! Nothing is known of the message but the wire format; bytes that read as a message are taken for one.

use libfuzzer_sys::fuzzer_mutate;

/// Messages in messages; deeper ones stay bytes.
const MAX_DEPTH: usize = 12;

/// Room that a text may grow by at a time.
const GROWTH: usize = 16;

/// Values that dims, types and versions go wrong at.
const NUMBERS: [u64; 16] = [
    0,
    1,
    2,
    3,
    4,
    7,
    16,
    80,
    1 << 20,
    (1 << 26) - 1,
    1 << 31,
    1 << 40,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
    u64::MAX - 1,
];

#[derive(Clone)]
enum Value {
    Varint(u64),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
    /// Four or eight bytes.
    Fixed(Vec<u8>),
}

#[derive(Clone)]
struct Field {
    number: u64,
    value: Value,
}

/// Numbers that follow from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// The message with one to four changes, or nothing if it is none.
pub fn mutate(message: &[u8], seed: u32) -> Option<Vec<u8>> {
    let mut fields = parse(message, 0)?;
    let mut random = Random(u64::from(seed));
    for _ in 0..1 + random.below(4) {
        change(&mut fields, &mut random);
    }
    Some(encode(&fields))
}

fn parse(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => Value::Fixed(take(&mut bytes, 8)?.to_vec()),
            5 => Value::Fixed(take(&mut bytes, 4)?.to_vec()),
            2 => {
                let length = varint(&mut bytes)?;
                let inner = take(&mut bytes, usize::try_from(length).ok()?)?;
                match parse(inner, depth + 1) {
                    Some(fields) if depth < MAX_DEPTH && !inner.is_empty() => {
                        Value::Message(fields)
                    }
                    _ => Value::Bytes(inner.to_vec()),
                }
            }
            _ => return None,
        };
        fields.push(Field {
            number: key >> 3,
            value,
        });
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn encode(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        let mut prefixed = |inner: &[u8]| {
            put(&mut bytes, field.number << 3 | 2);
            put(&mut bytes, inner.len() as u64);
            bytes.extend(inner);
        };
        match &field.value {
            Value::Bytes(inner) => prefixed(inner),
            Value::Message(inner) => prefixed(&encode(inner)),
            Value::Varint(value) => {
                put(&mut bytes, field.number << 3);
                put(&mut bytes, *value);
            }
            Value::Fixed(value) => {
                let kind = if value.len() == 8 { 1 } else { 5 };
                put(&mut bytes, field.number << 3 | kind);
                bytes.extend(value);
            }
        }
    }
    bytes
}

fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Changes one field, anywhere.
fn change(fields: &mut Vec<Field>, random: &mut Random) {
    let donor = pick(fields, random).cloned();
    // Goes down into a message more often than not.
    let mut here = fields;
    loop {
        if here.is_empty() {
            return;
        }
        let index = random.below(here.len());
        let inside = matches!(here[index].value, Value::Message(_)) && random.below(4) > 0;
        if !inside {
            return change_at(here, index, donor, random);
        }
        let Value::Message(inner) = &mut here[index].value else {
            return;
        };
        here = inner;
    }
}

/// A field from anywhere.
fn pick<'a>(mut fields: &'a [Field], random: &mut Random) -> Option<&'a Field> {
    loop {
        let field = fields.get(random.below(fields.len()))?;
        match &field.value {
            Value::Message(inner) if !inner.is_empty() && random.below(4) > 0 => fields = inner,
            _ => return Some(field),
        }
    }
}

fn change_at(here: &mut Vec<Field>, index: usize, donor: Option<Field>, random: &mut Random) {
    match random.below(10) {
        0 => {
            here.remove(index);
        }
        1 => here.insert(random.below(here.len()), here[index].clone()),
        2 => {
            let other = random.below(here.len());
            here.swap(index, other);
        }
        3 => here.extend(donor),
        4 => {
            if let Some(donor) = donor {
                here[index].value = donor.value;
            }
        }
        5 if random.below(4) == 0 => here[index].number = 1 + random.below(26) as u64,
        _ => change_value(&mut here[index].value, random),
    }
}

fn change_value(value: &mut Value, random: &mut Random) {
    match value {
        Value::Varint(number) => {
            *number = match random.below(4) {
                0 => number.wrapping_add(1),
                1 => number.wrapping_sub(1),
                2 => random.below(100) as u64,
                _ => NUMBERS[random.below(NUMBERS.len())],
            }
        }
        Value::Bytes(bytes) => {
            let length = bytes.len();
            bytes.resize(length + GROWTH, 0);
            let length = fuzzer_mutate(bytes, length, length + GROWTH);
            bytes.truncate(length);
        }
        Value::Fixed(bytes) => {
            let length = bytes.len();
            fuzzer_mutate(bytes, length, length);
        }
        Value::Message(fields) => fields.truncate(random.below(fields.len() + 1)),
    }
}
