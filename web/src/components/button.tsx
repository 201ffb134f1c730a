import type { ComponentChildren } from "preact";
import { Icon, type IconName } from "./icon.tsx";

interface ButtonProps {
  children?: ComponentChildren;
  icon?: IconName;
  /** Where there is no text to see: what a screen reader says. */
  label?: string;
  kind?: "primary" | "danger" | "quiet";
  small?: boolean;
  type?: "button" | "submit";
  disabled?: boolean;
  onClick?: (event: MouseEvent) => void;
}

export const Button = ({ children, icon, label, kind, small = false, type = "button", disabled = false, onClick }: ButtonProps) => (
  <button
    type={type}
    class={["button", kind, small ? "small" : "", children === undefined ? "square" : ""].filter(Boolean).join(" ")}
    aria-label={label}
    title={label}
    disabled={disabled}
    onClick={onClick}
  >
    {icon && <Icon name={icon} size={small ? 16 : 18} />}
    {children}
  </button>
);
