;; The loops of javascript.ts with vector instructions, two columns at a time: the same operations on the same numbers in
;; the same order for each column, so the same bits. `npx tsx scripts/columns-wasm.ts` builds columns-wasm.ts from it.
;;
;; A row of an odd number of columns ends in half a pair. Its other half is the next row's first number, or whatever
;; follows: sums of it go where nobody looks, and a gradient of it is overwritten by the next row's own.
;;
;; Parameters are addresses in bytes, and counts of 1 or more.
(module
  (memory (export "memory") 11) ;; place.end numbers (kernel.ts), in pages of 64 KiB

  ;; For each column: sum += d₀ + d₁ + (d₂ + d₃) and squares += d₀² + d₁² + (d₂² + d₃²) with dᵢ = aᵢ − first, for each
  ;; group of four rows.
  (func (export "addSums")
    (param $row0 i32) (param $groups i32) (param $columns i32)
    (param $first i32) (param $sum i32) (param $squares i32)
    (local $bytes i32) (local $row1 i32) (local $row2 i32) (local $row3 i32) (local $c i32)
    (local $f v128) (local $d0 v128) (local $d1 v128) (local $d2 v128) (local $d3 v128)
    (local.set $bytes (i32.shl (local.get $columns) (i32.const 3)))
    (loop $group
      (local.set $row1 (i32.add (local.get $row0) (local.get $bytes)))
      (local.set $row2 (i32.add (local.get $row1) (local.get $bytes)))
      (local.set $row3 (i32.add (local.get $row2) (local.get $bytes)))
      (local.set $c (i32.const 0))
      (loop $pair
        (local.set $f (v128.load (i32.add (local.get $first) (local.get $c))))
        (local.set $d0 (f64x2.sub (v128.load (i32.add (local.get $row0) (local.get $c))) (local.get $f)))
        (local.set $d1 (f64x2.sub (v128.load (i32.add (local.get $row1) (local.get $c))) (local.get $f)))
        (local.set $d2 (f64x2.sub (v128.load (i32.add (local.get $row2) (local.get $c))) (local.get $f)))
        (local.set $d3 (f64x2.sub (v128.load (i32.add (local.get $row3) (local.get $c))) (local.get $f)))
        (v128.store
          (i32.add (local.get $sum) (local.get $c))
          (f64x2.add
            (v128.load (i32.add (local.get $sum) (local.get $c)))
            (f64x2.add
              (f64x2.add (local.get $d0) (local.get $d1))
              (f64x2.add (local.get $d2) (local.get $d3)))))
        (v128.store
          (i32.add (local.get $squares) (local.get $c))
          (f64x2.add
            (v128.load (i32.add (local.get $squares) (local.get $c)))
            (f64x2.add
              (f64x2.add
                (f64x2.mul (local.get $d0) (local.get $d0))
                (f64x2.mul (local.get $d1) (local.get $d1)))
              (f64x2.add
                (f64x2.mul (local.get $d2) (local.get $d2))
                (f64x2.mul (local.get $d3) (local.get $d3))))))
        (local.set $c (i32.add (local.get $c) (i32.const 16)))
        (br_if $pair (i32.lt_u (local.get $c) (local.get $bytes))))
      (local.set $row0 (i32.add (local.get $row3) (local.get $bytes)))
      (local.set $groups (i32.sub (local.get $groups) (i32.const 1)))
      (br_if $group (local.get $groups))))

  ;; out = slope · (a − first − shift) + 0 for each number of each group of four rows.
  (func (export "gradient")
    (param $row i32) (param $groups i32) (param $columns i32)
    (param $first i32) (param $shift i32) (param $slope i32) (param $out i32)
    (local $bytes i32) (local $c i32) (local $rows i32)
    (local.set $bytes (i32.shl (local.get $columns) (i32.const 3)))
    (local.set $rows (i32.shl (local.get $groups) (i32.const 2)))
    (loop $next
      (local.set $c (i32.const 0))
      (loop $pair
        (v128.store
          (i32.add (local.get $out) (local.get $c))
          (f64x2.add
            (f64x2.mul
              (v128.load (i32.add (local.get $slope) (local.get $c)))
              (f64x2.sub
                (f64x2.sub
                  (v128.load (i32.add (local.get $row) (local.get $c)))
                  (v128.load (i32.add (local.get $first) (local.get $c))))
                (v128.load (i32.add (local.get $shift) (local.get $c)))))
            (v128.const f64x2 0 0)))
        (local.set $c (i32.add (local.get $c) (i32.const 16)))
        (br_if $pair (i32.lt_u (local.get $c) (local.get $bytes))))
      (local.set $row (i32.add (local.get $row) (local.get $bytes)))
      (local.set $out (i32.add (local.get $out) (local.get $bytes)))
      (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
      (br_if $next (local.get $rows))))

  ;; `count` float64 numbers become float32 in place.
  (func (export "narrow") (param $from i32) (param $count i32)
    (local $to i32) (local $end i32)
    (local.set $to (local.get $from))
    (local.set $end (i32.add (local.get $from) (i32.shl (local.get $count) (i32.const 3))))
    (loop $pair
      (v128.store64_lane 0 (local.get $to) (f32x4.demote_f64x2_zero (v128.load (local.get $from))))
      (local.set $to (i32.add (local.get $to) (i32.const 8)))
      (local.set $from (i32.add (local.get $from) (i32.const 16)))
      (br_if $pair (i32.lt_u (local.get $from) (local.get $end))))))
