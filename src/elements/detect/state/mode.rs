//! [`ModeInForce`]: whether the source is live, and which mode follows from that.

use crate::elements::detect::settings::choices::Mode;

/// Whether frames come when they are asked for or as time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Upstream {
    /// Not asked since READY or STREAM_START.
    #[default]
    Unknown,
    /// Asked, and no answer: counts as live, and is asked again.
    PresumedLive,
    Live,
    NotLive,
}

#[derive(Debug, Default)]
pub struct ModeInForce {
    upstream: Upstream,
    /// A LATENCY query of downstream was answered with FALSE, so downstream does not know our latency.
    latency_refused: bool,
    /// The property when the model was loaded.
    wanted: Mode,
    current: Mode,
    /// The user was warned of `mode=newest` with a source that is not live.
    warned: bool,
}

/// Consequences of upstream's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    pub mode: Mode,
    /// The mode, or what is known of upstream, has changed.
    pub changed: bool,
    /// Frames of a file are about to be dropped: the user should know.
    pub warn: bool,
    /// Downstream asked for the latency before it could be told, and should ask again.
    pub tell_again: bool,
}

impl ModeInForce {
    pub fn new(wanted: Mode) -> Self {
        Self {
            wanted,
            current: wanted,
            ..Self::default()
        }
    }

    /// Forgets what upstream has answered: another source may follow.
    pub fn begin_stream(&mut self) {
        self.upstream = Upstream::Unknown;
        self.warned = false;
    }

    /// Takes in upstream's answer to a LATENCY query.
    pub fn settle(&mut self, upstream: Upstream) -> Settled {
        let tell_again = upstream == Upstream::Live && std::mem::take(&mut self.latency_refused);
        let mode = match self.wanted {
            Mode::Auto if upstream == Upstream::NotLive => Mode::Every,
            Mode::Auto => Mode::Newest,
            asked => asked,
        };
        let changed = (self.upstream, self.current) != (upstream, mode);
        (self.upstream, self.current) = (upstream, mode);
        let drops_a_file = mode == Mode::Newest && upstream == Upstream::NotLive;
        let warn = drops_a_file && !self.warned;
        self.warned |= warn;
        Settled {
            mode,
            changed,
            warn,
            tell_again,
        }
    }

    pub fn refuse_latency(&mut self) {
        self.latency_refused = true;
    }

    /// Whether upstream has answered; if not it is asked at each frame.
    pub fn is_settled(&self) -> bool {
        matches!(self.upstream, Upstream::Live | Upstream::NotLive)
    }

    /// Whether upstream is live or may be.
    pub fn is_live(&self) -> bool {
        self.upstream != Upstream::NotLive
    }

    /// Whether upstream has said that it is live.
    pub fn is_surely_live(&self) -> bool {
        self.upstream == Upstream::Live
    }

    /// Whether frames go from pad to pad without a line.
    pub fn is_passthrough(&self) -> bool {
        self.wanted == Mode::Passthrough
    }

    /// Whether the user has asked for this mode.
    pub fn is_wanted(&self, mode: Mode) -> bool {
        self.wanted == mode
    }

    pub fn current(&self) -> Mode {
        self.current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_every_for_a_file_and_newest_for_all_else() {
        let mut mode = ModeInForce::new(Mode::Auto);
        assert!(!mode.is_settled() && mode.is_live());
        let settled = mode.settle(Upstream::PresumedLive);
        assert!(settled.mode == Mode::Newest && settled.changed && !mode.is_settled());
        assert!(!mode.settle(Upstream::PresumedLive).changed);
        let settled = mode.settle(Upstream::NotLive);
        assert!(settled.mode == Mode::Every && settled.changed && !settled.warn);
        mode.begin_stream();
        assert!(!mode.is_settled());
        assert_eq!(mode.settle(Upstream::Live).mode, Mode::Newest);
        assert!(mode.is_settled() && mode.is_surely_live());
    }

    #[test]
    fn newest_of_a_file_warns_once_a_stream() {
        let mut mode = ModeInForce::new(Mode::Newest);
        let warns = [(); 2].map(|()| mode.settle(Upstream::NotLive).warn);
        assert_eq!(warns, [true, false]);
        mode.begin_stream();
        assert!(mode.settle(Upstream::NotLive).warn);
    }

    #[test]
    fn a_latency_that_could_not_be_told_is_told_again_once() {
        let mut mode = ModeInForce::new(Mode::Auto);
        mode.refuse_latency();
        assert!(!mode.settle(Upstream::PresumedLive).tell_again);
        assert!(mode.settle(Upstream::Live).tell_again);
        assert!(!mode.settle(Upstream::Live).tell_again);
    }
}
