//! The table of the machine, and how its values are written.

use crate::machine::MachineInfo;
use crate::report::Report;
use crate::table::Table;
use gstdetect::host::machine::Throttled;

/// The machine, its system, and how this program was built.
pub fn measured_on(report: &Report) -> Table {
    let machine = &report.machine;
    let mut table = Table::facts("Measured on");
    let facts = [
        ("machine", machine.model.clone()),
        ("processor", describe_processor(machine)),
        ("memory", bytes(machine.memory_bytes)),
        (
            "system",
            format!("{}, Linux {}", machine.system, machine.kernel),
        ),
        ("GStreamer", machine.gstreamer.clone()),
        ("governor", machine.governor.clone().unwrap_or_default()),
        (
            "program",
            format!("detect-bench {}, {} build", report.version, machine.build),
        ),
    ];
    for (name, value) in facts.into_iter().filter(|(_, value)| !value.is_empty()) {
        table.add_fact(name, value);
    }
    let throttled = report.runs.iter().filter_map(|run| run.throttled);
    if let Some(bits) = throttled.reduce(|all, bits| all | bits) {
        table.add_fact("throttling", throttling(bits));
    }
    table
}

fn describe_processor(machine: &MachineInfo) -> String {
    let usable = machine.usable_processors();
    format!("{}, {usable}, {}", machine.processor, machine.architecture)
}

pub fn throttling(bits: u32) -> String {
    let list = |words: Vec<&str>| match words.is_empty() {
        true => "none".to_owned(),
        false => words.join(", "),
    };
    let bits = Throttled(bits);
    format!(
        "in this run: {}; since the machine was started: {}",
        list(bits.now()),
        list(bits.since_start())
    )
}

pub fn bytes(bytes: u64) -> String {
    match bytes >> 20 {
        mebi if mebi >= 10 << 10 => format!("{} GiB", mebi >> 10),
        mebi => format!("{mebi} MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units_that_fit() {
        assert_eq!(
            (bytes(80 << 20), bytes(16 << 30)),
            ("80 MiB".into(), "16 GiB".into())
        );
    }
}
