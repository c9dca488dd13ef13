//! A reader of protobuf messages that knows no schema, so that it shares nothing with the encoder of the proxy.

/// One message: its fields by number, in the order of the wire.
#[derive(Debug)]
pub(crate) struct Message<'m>(Vec<(u64, Field<'m>)>);

#[derive(Clone, Copy, Debug)]
enum Field<'m> {
    Number(u64),
    Bytes(&'m [u8]),
}

impl<'m> Message<'m> {
    pub(crate) fn read(mut bytes: &'m [u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            let field = match tag & 7 {
                0 => Field::Number(varint(&mut bytes)),
                1 => Field::Number(u64::from_le_bytes(take(&mut bytes, 8).try_into().unwrap())),
                2 => {
                    let len = varint(&mut bytes).try_into().unwrap();
                    Field::Bytes(take(&mut bytes, len))
                }
                5 => {
                    let number = u32::from_le_bytes(take(&mut bytes, 4).try_into().unwrap());
                    Field::Number(number.into())
                }
                kind => panic!("wire type {kind}"),
            };
            fields.push((tag >> 3, field));
        }
        Self(fields)
    }

    /// Messages in a repeated field.
    pub(crate) fn messages(&self, number: u64) -> impl Iterator<Item = Message<'m>> {
        let fields = self.0.iter().filter(move |(found, _)| *found == number);
        fields.map(move |(_, field)| match field {
            Field::Bytes(bytes) => Message::read(bytes),
            Field::Number(_) => panic!("field {number} is no message"),
        })
    }

    /// The only message in a field.
    pub(crate) fn message(&self, number: u64) -> Self {
        let mut messages = self.messages(number);
        let only = messages.next().unwrap();
        assert!(messages.next().is_none(), "field {number} is repeated");
        only
    }

    /// Bytes of a field, which are empty if it is not there.
    pub(crate) fn bytes(&self, number: u64) -> &'m [u8] {
        match self.field(number) {
            Some(Field::Bytes(bytes)) => bytes,
            _ => &[],
        }
    }

    pub(crate) fn text(&self, number: u64) -> String {
        String::from_utf8(self.bytes(number).to_vec()).unwrap()
    }

    pub(crate) fn hex(&self, number: u64) -> String {
        let digits = self.bytes(number).iter();
        digits.map(|byte| format!("{byte:02x}")).collect()
    }

    /// Number in a field. `None` if it is not there.
    pub(crate) fn number(&self, number: u64) -> Option<u64> {
        match self.field(number)? {
            Field::Number(value) => Some(value),
            Field::Bytes(_) => None,
        }
    }

    fn field(&self, number: u64) -> Option<Field<'m>> {
        let found = self.0.iter().find(|(found, _)| *found == number);
        found.map(|(_, field)| *field)
    }
}

fn take<'m>(bytes: &mut &'m [u8], len: usize) -> &'m [u8] {
    let (taken, rest) = bytes.split_at(len);
    *bytes = rest;
    taken
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number;
        }
    }
    panic!("a number has more than ten bytes");
}
