//! Filters ALLOCATION answers from downstream for an element that reads the pixels on the way.

use gst::prelude::*;

/// Keeps in `query` what upstream may use.
///
/// Metadata stays, except crop metadata, because this element does not crop when it reads pixels. Pools and allocators
/// stay if they give plain system memory, which is cheap to read. `held` is added to the smallest number of buffers of
/// each pool. A pool that cannot have that many is removed together with its limit. If downstream names no pool, an
/// entry for a pool of upstream's own asks for `held` buffers.
///
/// Strides and plane offsets may be arbitrary. If [`follows_strides`] says that downstream does not follow them, the
/// caller must repack the frames.
pub fn filter(query: &mut gst::query::Allocation, held: u32) {
    while let Some(index) = query.find_allocation_meta::<gst_video::VideoCropMeta>() {
        query.remove_nth_allocation_meta(index);
    }
    let params: Vec<_> = query.allocation_params().collect();
    for (index, (allocator, params)) in (0..).zip(params) {
        if !is_system(allocator.as_ref()) {
            query.set_nth_allocation_param(index, None::<&gst::Allocator>, params);
        }
    }
    let pools: Vec<_> = query.allocation_pools().collect();
    for (index, (pool, size, min, max)) in (0..).zip(pools) {
        let min = min.saturating_add(held);
        let enough = max == 0 || max >= min;
        let pool = pool.filter(|pool| enough && is_plain(pool));
        let max = if pool.is_some() { max } else { 0 };
        query.set_nth_allocation_pool(index, pool.as_ref(), size, min, max);
    }
    let caps = query.get().0.filter(|caps| caps.is_fixed());
    let size = caps.and_then(|caps| {
        let video = gst_video::VideoInfo::from_caps(caps).ok()?;
        u32::try_from(video.size()).ok()
    });
    if let Some(size) = size
        && query.allocation_pools().len() == 0
    {
        query.add_allocation_pool(None::<&gst::BufferPool>, size, held, 0);
    }
    if !follows_strides(query) {
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
    }
}

/// Returns whether downstream follows unusual strides and offsets.
pub fn follows_strides(query: &gst::query::Allocation) -> bool {
    query
        .find_allocation_meta::<gst_video::VideoMeta>()
        .is_some()
}

/// Returns whether `allocator` gives plain system memory; `None` does.
fn is_system(allocator: Option<&gst::Allocator>) -> bool {
    allocator.is_none_or(|a| gst::Allocator::find(Some("SystemMemory")).as_ref() == Some(a))
}

/// Returns whether `pool` is one of GStreamer's own pools for system memory rather than a device's.
fn is_plain(pool: &gst::BufferPool) -> bool {
    let own = [
        gst::BufferPool::static_type(),
        gst_video::VideoBufferPool::static_type(),
    ];
    let allocator = pool
        .config()
        .allocator()
        .and_then(|(allocator, _)| allocator);
    own.contains(&pool.type_()) && is_system(allocator.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> gst::query::Allocation<gst::Query> {
        gst::init().expect("GStreamer starts");
        let video = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, 64, 64);
        let caps = video.build().and_then(|video| video.to_caps());
        let caps = caps.expect("a usual format");
        gst::query::Allocation::new(Some(&caps), true)
    }

    #[test]
    fn crop_metadata_goes_and_other_metadata_stays() {
        let mut query = query();
        query.add_allocation_meta::<gst_video::VideoCropMeta>(None);
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        filter(&mut query, 0);
        let found = |query: &gst::query::Allocation<gst::Query>| {
            (
                query.find_allocation_meta::<gst_video::VideoCropMeta>(),
                query.find_allocation_meta::<gst_video::VideoMeta>(),
            )
        };
        assert_eq!(found(&query), (None, Some(0)));
    }

    #[test]
    fn of_nothing_comes_the_number_of_buffers_and_any_stride() {
        let mut query = query();
        assert!(!follows_strides(&query));
        filter(&mut query, 3);
        assert!(follows_strides(&query));
        let pools: Vec<_> = query.allocation_pools().collect();
        assert_eq!(pools, [(None, 6144, 3, 0)]);
    }

    #[test]
    fn a_plain_pool_gets_more_buffers_and_a_small_one_goes() {
        let mut query = query();
        let pool = gst::BufferPool::new();
        query.add_allocation_pool(Some(&pool), 6144, 2, 0);
        query.add_allocation_pool(Some(&pool), 6144, 2, 3);
        filter(&mut query, 3);
        let pools: Vec<_> = query.allocation_pools().collect();
        assert_eq!(pools[0], (Some(pool), 6144, 5, 0));
        assert_eq!(pools[1], (None, 6144, 5, 0));
    }
}
