//! Literals as Python's `repr` writes them: how exporters store class names and sizes in ONNX metadata.
//!
//! Read are lists, tuples and dicts, of integers and of strings in single or double quotes with escapes. JSON lists
//! and objects of the same are read alike.

/// The names of classes: a list, or a dict from class number to name in any order.
///
/// A number without a name between others that have one gets an empty name.
pub fn names(text: &str) -> Option<Vec<String>> {
    match parse(text)? {
        Literal::List(items) => items.into_iter().map(Literal::into_text).collect(),
        Literal::Dict(pairs) => {
            let mut names = Vec::new();
            // No more names than text, whatever the numbers say.
            let limit = text.len();
            for (key, value) in pairs {
                let class = usize::try_from(key.integer()?)
                    .ok()
                    .filter(|c| *c < limit)?;
                if names.len() <= class {
                    names.resize(class.saturating_add(1), String::new());
                }
                names[class] = value.into_text()?;
            }
            Some(names)
        }
        _ => None,
    }
}

/// A list or tuple of integers, or one integer.
pub fn integers(text: &str) -> Option<Vec<i64>> {
    match parse(text)? {
        Literal::List(items) => items.iter().map(Literal::integer).collect(),
        other => other.integer().map(|number| vec![number]),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Integer(i64),
    Text(String),
    List(Vec<Literal>),
    Dict(Vec<(Literal, Literal)>),
}

impl Literal {
    /// A number, or a string that is one (JSON has no other keys).
    fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Integer(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

fn parse(text: &str) -> Option<Literal> {
    let mut parser = Parser { rest: text };
    let literal = parser.literal(false)?;
    parser.skip_space();
    parser.rest.is_empty().then_some(literal)
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    /// `inner` is an item of a list or dict and may not be one itself: nothing we read nests deeper.
    fn literal(&mut self, inner: bool) -> Option<Literal> {
        self.skip_space();
        match self.rest.chars().next()? {
            '[' | '(' if !inner => self.list(),
            '{' if !inner => self.dict(),
            quote @ ('\'' | '"') => self.string(quote),
            _ => self.integer(),
        }
    }

    fn list(&mut self) -> Option<Literal> {
        let end = if self.next()? == '[' { ']' } else { ')' };
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(self.literal(true)?);
            if !self.take(',') {
                return self.take(end).then_some(Literal::List(items));
            }
        }
        Some(Literal::List(items))
    }

    fn dict(&mut self) -> Option<Literal> {
        self.next()?;
        let mut pairs = Vec::new();
        while !self.take('}') {
            let key = self.literal(true)?;
            if !self.take(':') {
                return None;
            }
            pairs.push((key, self.literal(true)?));
            if !self.take(',') {
                return self.take('}').then_some(Literal::Dict(pairs));
            }
        }
        Some(Literal::Dict(pairs))
    }

    fn string(&mut self, quote: char) -> Option<Literal> {
        self.next()?;
        let mut text = String::new();
        loop {
            match self.next()? {
                c if c == quote => return Some(Literal::Text(text)),
                '\\' => text.push(self.escape()?),
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'x' => char::from_u32(self.code(2)?)?,
            'u' => self.utf16()?,
            'U' => char::from_u32(self.code(8)?)?,
            c => c,
        })
    }

    /// Four digits, or twice four where JSON writes one character as a pair of surrogates.
    fn utf16(&mut self) -> Option<char> {
        let first = self.code(4)?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        self.rest = self.rest.strip_prefix("\\u")?;
        let second = self
            .code(4)
            .filter(|code| (0xdc00..0xe000).contains(code))?;
        let (first, second) = (first.checked_sub(0xd800)?, second.checked_sub(0xdc00)?);
        char::from_u32(
            0x1_0000_u32
                .checked_add(first.checked_mul(0x400)?)?
                .checked_add(second)?,
        )
    }

    fn code(&mut self, digits: usize) -> Option<u32> {
        let code = self.rest.get(..digits)?;
        let number = u32::from_str_radix(code, 16).ok()?;
        self.rest = &self.rest[digits..];
        Some(number)
    }

    fn integer(&mut self) -> Option<Literal> {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_digit() && c != '-')
            .unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        number.parse().ok().map(Literal::Integer)
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }

    fn take(&mut self, wanted: char) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dict_is_read_in_any_order_and_quoting() {
        let text = r#"{1: "it's", 0: 'person', 2: 'say "hi"', 3: 'it\'s', 4: '\xe9t\u00e9\n'}"#;
        assert_eq!(
            names(text).unwrap(),
            ["person", "it's", "say \"hi\"", "it's", "été\n"]
        );
    }

    #[test]
    fn lists_tuples_and_json_are_read() {
        assert_eq!(names("['a', \"b\",]").unwrap(), ["a", "b"]);
        assert_eq!(names(r#"{"0": "a", "1": "b"}"#).unwrap(), ["a", "b"]);
        assert_eq!(names("{}").unwrap(), Vec::<String>::new());
        assert_eq!(integers("[640, 480]").unwrap(), [640, 480]);
        assert_eq!(integers("(32,)").unwrap(), [32]);
        assert_eq!(integers(" 32 ").unwrap(), [32]);
    }

    #[test]
    fn any_script_is_read_as_it_is_or_escaped() {
        let text = r#"{0: 'Fußgänger', 1: '人', 2: '\U0001f600', 3: "\ud83d\ude00", 4: '\\b'}"#;
        assert_eq!(names(text).unwrap(), ["Fußgänger", "人", "😀", "😀", "\\b"]);
        assert_eq!(names(r"['\ud83d']"), None);
        assert_eq!(names(r"['\ud83d\u0041']"), None);
        assert_eq!(names("['\\u人人人人']"), None, "no digits");
    }

    #[test]
    fn gaps_have_empty_names() {
        assert_eq!(names("{2: 'c', 0: 'a'}").unwrap(), ["a", "", "c"]);
    }

    #[test]
    fn junk_is_nothing() {
        for junk in [
            "",
            "{",
            "[",
            "{0}",
            "{0: }",
            "{0: 'a'",
            "['a' 'b']",
            "['a",
            "{-1: 'a'}",
            "person",
            r"['\x']",
            r"['\xzz']",
            r"['\ud800']",
            "['a'] x",
            "{0: ['a']}",
            "{0: 1.5}",
            "[[[[",
        ] {
            assert_eq!(names(junk), None, "{junk}");
        }
        assert_eq!(
            names("{9999999999: 'a'}"),
            None,
            "a number is not a reason to allocate"
        );
    }
}
