//! How many connections one address may hold, so that one caller can't take every place.
//!
//! Addresses of IPv6 count by their /64: that is what one house has. Refused connections are counted in
//! `varco_connections_refused_total`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Who holds how many connections.
#[derive(Debug)]
pub struct Crowd {
    most: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
}

impl Crowd {
    /// At most so many for each address.
    pub fn new(most: usize) -> Arc<Crowd> {
        Arc::new(Crowd { most, held: Mutex::default() })
    }

    /// A place for one more connection of this address; it is given back when dropped. `None` where it has enough.
    pub fn enter(self: &Arc<Crowd>, address: IpAddr) -> Option<Place> {
        let house = house_of(address);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(house).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { crowd: self.clone(), house })
    }
}

/// A connection's place.
#[derive(Debug)]
pub struct Place {
    crowd: Arc<Crowd>,
    house: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.crowd.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.house) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.remove(&self.house);
            }
        }
    }
}

/// What an address counts as: itself, or its /64.
pub(super) fn house_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        four => four,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_house_can_not_take_the_places_of_another() {
        let crowd = Crowd::new(2);
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let (first, _second) =
            (crowd.enter(at("10.0.0.1")).unwrap(), crowd.enter(at("::ffff:10.0.0.1")).unwrap());
        assert!(crowd.enter(at("10.0.0.1")).is_none());
        let _other = crowd.enter(at("10.0.0.2")).unwrap();
        drop(first);
        assert!(crowd.enter(at("10.0.0.1")).is_some());
        let _six = (crowd.enter(at("2001:db8::1")).unwrap(), crowd.enter(at("2001:db8::2")).unwrap());
        assert!(crowd.enter(at("2001:db8::3")).is_none());
        assert!(crowd.enter(at("2001:db8:0:1::3")).is_some());
    }

    #[test]
    fn who_has_left_is_forgotten() {
        let crowd = Crowd::new(2);
        drop(crowd.enter(IpAddr::from([10, 0, 0, 1])));
        assert!(crowd.held.lock().unwrap().is_empty());
    }
}
