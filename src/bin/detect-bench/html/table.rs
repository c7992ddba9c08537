//! Tables as HTML.

use super::escape;
use crate::table::{Format, Table};
use std::fmt::Write;

/// Shown for a value that was not measured.
const MISSING: &str = "–";

/// Renders a table with its title, in a panel; `class` says how wide the panel is.
pub fn panel(table: &Table, class: &str) -> String {
    let note = table.note.as_ref().map_or_else(String::new, |note| {
        format!("<p class=\"note\">{}</p>", escape(note))
    });
    format!(
        "<div class=\"{class}\"><h3>{}</h3>{}{note}</div>\n",
        escape(table.title),
        rows(table)
    )
}

/// Renders rows of cells; the first cell of each row is its head.
fn rows(table: &Table) -> String {
    let class = |place: usize| match table.columns[place].format {
        Format::Number(_) | Format::Signed(_) => " class=\"number\"",
        Format::Bar => " class=\"share\"",
        Format::Text => "",
    };
    let mut html = String::from("<div class=\"scroll\"><table>");
    if table.has_headings() {
        html += "<thead><tr>";
        for (place, column) in table.columns.iter().enumerate() {
            let heading = escape(&column.heading());
            let _ = write!(html, "<th{}>{heading}</th>", class(place));
        }
        html += "</tr></thead>";
    }
    html += "<tbody>\n";
    for row in &table.rows {
        html += "<tr>";
        for (place, text) in table.texts(row, MISSING).enumerate() {
            let kind = if place == 0 { "th" } else { "td" };
            let cell = match table.columns[place].format {
                Format::Bar => bar(&text),
                _ => escape(&text),
            };
            let _ = write!(html, "<{kind}{}>{cell}</{kind}>", class(place));
        }
        html += "</tr>\n";
    }
    html + "</tbody></table></div>"
}

fn bar(share: &str) -> String {
    let percent = 100.0 * share.parse().unwrap_or(0.0_f64);
    format!("<div class=\"bar\" style=\"width: {percent:.1}%\"></div>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Cell, Column};

    #[test]
    fn cells_are_text_and_numbers_stand_at_the_right() {
        let columns = [
            Column::text(""),
            Column::number("time", "ms", 1),
            Column::new("", "", Format::Bar),
        ];
        let mut table = Table::new("A & B", &columns);
        table.note = Some("5 < 6".into());
        table.add(["<b>".into(), Cell::Missing, 0.25.into()]);
        let html = panel(&table, "whole");
        for part in [
            "<h3>A &amp; B</h3>",
            "<th class=\"number\">time, ms</th>",
            "<th>&lt;b&gt;</th><td class=\"number\">–</td>",
            "width: 25.0%",
            "<p class=\"note\">5 &lt; 6</p>",
        ] {
            assert!(html.contains(part), "no {part} in {html}");
        }
    }
}
