//! [`Flow`]: whether data flows, and if not, why.

/// The answer to the next buffer or event.
#[derive(Debug)]
pub struct Flow {
    /// The last result of the other threads.
    result: Result<(), gst::FlowError>,
    /// An inference has failed for good: frames are refused until READY.
    failed: bool,
    /// EOS came in by the sink pad.
    eos: bool,
    /// Downstream has answered EOS to a frame.
    refuses_frames: bool,
    /// A frame has left since the start or the last flush.
    frame_has_left: bool,
}

impl Default for Flow {
    /// Flushing, as long as the pads are inactive.
    fn default() -> Self {
        Self {
            result: Err(gst::FlowError::Flushing),
            failed: false,
            eos: false,
            refuses_frames: false,
            frame_has_left: false,
        }
    }
}

impl Flow {
    /// Forgets all but the result, which belongs to the pads.
    pub fn start(&mut self) {
        *self = Self {
            result: self.result,
            ..Self::default()
        };
    }

    pub fn begin_flush(&mut self) {
        self.result = Err(gst::FlowError::Flushing);
    }

    pub fn end_flush(&mut self) {
        *self = Self {
            result: match self.failed {
                true => Err(gst::FlowError::Error),
                false => Ok(()),
            },
            failed: self.failed,
            ..Self::default()
        };
    }

    /// Ends the flow; returns the reason that counts, which is the first one.
    pub fn end(&mut self, reason: gst::FlowError) -> gst::FlowError {
        match self.result {
            Ok(()) => {
                self.result = Err(reason);
                reason
            }
            Err(first) => first,
        }
    }

    pub fn fail(&mut self) {
        self.failed = true;
        if !self.is_flushing() {
            self.result = Err(gst::FlowError::Error);
        }
    }

    /// Lets data flow again after NOT_LINKED: a new link may be there.
    pub fn relink(&mut self) {
        if self.result == Err(gst::FlowError::NotLinked) && !self.failed {
            self.result = Ok(());
        }
    }

    /// Says whether frames are refused until the next stream or segment.
    pub fn refuse_frames(&mut self, refuse: bool) {
        self.refuses_frames = refuse;
    }

    /// Accepts frames again after EOS: a new stream or segment begins.
    pub fn begin_segment(&mut self) {
        self.eos = false;
        self.refuses_frames = false;
    }

    pub fn end_stream(&mut self) {
        self.eos = true;
    }

    pub fn frame_left(&mut self) {
        self.frame_has_left = true;
    }

    pub fn frame_has_left(&self) -> bool {
        self.frame_has_left
    }

    /// Whether a buffer would be taken.
    pub fn accepts_frames(&self) -> Result<(), gst::FlowError> {
        self.result?;
        if self.eos || self.refuses_frames {
            return Err(gst::FlowError::Eos);
        }
        Ok(())
    }

    /// Whether a serialized event or query would be taken.
    pub fn accepts_events(&self) -> Result<(), gst::FlowError> {
        self.result?;
        match self.eos {
            true => Err(gst::FlowError::Eos),
            false => Ok(()),
        }
    }

    pub fn is_ok(&self) -> bool {
        self.result.is_ok()
    }

    pub fn is_flushing(&self) -> bool {
        self.result == Err(gst::FlowError::Flushing)
    }

    pub fn has_failed(&self) -> bool {
        self.failed
    }

    pub fn has_eos(&self) -> bool {
        self.eos
    }
}
