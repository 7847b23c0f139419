//! Whole numbers of the Postgres type numeric, for sums that may exceed 64 bits.

use diesel::data_types::PgNumeric;
use diesel::pg::Pg;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Numeric;
use tokio_postgres::types::{IsNull, Type, private::BytesMut, to_sql_checked};

/// Whole number to store as numeric.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, diesel::expression::AsExpression)]
#[diesel(sql_type = Numeric)]
pub struct WideNumber(pub i128);

impl WideNumber {
    /// Digits to base 10,000, the most significant first; none for 0.
    fn digits(self) -> Vec<i16> {
        let mut rest = self.0.unsigned_abs();
        let mut digits = Vec::new();
        while rest > 0 {
            digits.push(i16::try_from(rest % 10_000).unwrap_or_default());
            rest /= 10_000;
        }
        digits.reverse();
        digits
    }

    /// Power of 10,000 of the first digit.
    fn weight(digits: &[i16]) -> i16 {
        i16::try_from(digits.len())
            .unwrap_or(i16::MAX)
            .saturating_sub(1)
            .max(0)
    }
}

impl ToSql<Numeric, Pg> for WideNumber {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let digits = self.digits();
        let weight = Self::weight(&digits);
        let scale = 0;
        let numeric = if self.0 < 0 {
            PgNumeric::Negative {
                weight,
                scale,
                digits,
            }
        } else {
            PgNumeric::Positive {
                weight,
                scale,
                digits,
            }
        };
        ToSql::<Numeric, Pg>::to_sql(&numeric, &mut out.reborrow())
    }
}

impl tokio_postgres::types::ToSql for WideNumber {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let digits = self.digits();
        let sign: u16 = if self.0 < 0 { 0x4000 } else { 0 };
        let count = u16::try_from(digits.len())?;
        for field in [count, Self::weight(&digits).cast_unsigned(), sign, 0] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        for digit in digits {
            out.extend_from_slice(&digit.to_be_bytes());
        }
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::NUMERIC
    }

    to_sql_checked!();
}

crate::column_type!(WideNumber, "numeric[]", Numeric);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_split_into_digits_to_base_ten_thousand() {
        assert!(WideNumber(0).digits().is_empty());
        assert_eq!(WideNumber(-12_345_678).digits(), [1234, 5678]);
        assert_eq!(WideNumber(10_000).digits(), [1, 0]);
        assert_eq!(WideNumber::weight(&[1, 0]), 1);
    }
}
